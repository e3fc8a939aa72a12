import { containersById, jobsById } from '@warmwind/shared/ledger/reads';
import { type ContainerRow, containerRow, type JobRow, jobRow } from '@warmwind/shared/ledger/rows';
import { byId, containerIsAhead, idsOf, jobIsAhead, recordAhead } from './ahead.ts';
import { PAGE, readRecords } from './pages.ts';
import type { Pass } from './reconcile.ts';

/** A record's key: its owner, and what it is. */
const RECORD = /^ww:\{([^{}]+)\}:(job|container):[^:]+$/;

/** Records every job and desktop that Redis knows and the ledger does not, or knows less of. */
export async function recordEverything(pass: Pass): Promise<void> {
  for (const kind of ['job', 'container'] as const) {
    let cursor = '0';
    do {
      const [next, names] = await pass.redis.scan(cursor, 'MATCH', `ww:{*}:${kind}:*`, 'COUNT', PAGE);
      cursor = next;
      const owned = names.flatMap((name) => {
        const [, user, what] = RECORD.exec(name) ?? [];
        return user && what === kind ? { name, user } : [];
      });
      const records = await readRecords(
        pass.redis,
        owned.map(({ name }) => name),
      );
      const of = <R>(row: (user: string, record: Record<string, string>) => R): R[] =>
        owned.flatMap(({ user }, i) => (records[i] ? row(user, records[i]) : []));
      if (kind === 'job') await recordJobs(pass, of(jobRow));
      else await recordContainers(pass, of(containerRow));
    } while (cursor !== '0' && !pass.signal.aborted);
  }
}

async function recordJobs(pass: Pass, records: JobRow[]): Promise<void> {
  if (records.length === 0) return;
  const rows = byId(await pass.ledger.run((db) => jobsById(db, idsOf(records))));
  const jobs = records.filter((record) => jobIsAhead(record, rows.get(record.id)));
  await recordAhead(pass, { jobs, containers: [] });
}

async function recordContainers(pass: Pass, records: ContainerRow[]): Promise<void> {
  if (records.length === 0) return;
  const rows = byId(await pass.ledger.run((db) => containersById(db, idsOf(records))));
  const containers = records.filter((record) => containerIsAhead(record, rows.get(record.id)));
  await recordAhead(pass, { jobs: [], containers });
}
