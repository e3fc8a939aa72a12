import { containersById, jobsById } from '@warmwind/shared/ledger/reads';
import { type ContainerRow, containerRow, type JobRow, jobRow } from '@warmwind/shared/ledger/rows';
import { recordIdempotencyKeys } from '@warmwind/shared/ledger/submissions';
import { ENDED_RECORD_TTL_MS } from '@warmwind/shared/records';
import { byId, containerIsAhead, idsOf, jobIsAhead, recordAhead } from './ahead.ts';
import { answers, PAGE, readRecords } from './pages.ts';
import type { Pass } from './reconcile.ts';

/** A key of this kind: its owner, and the hash. */
const KEY = /^ww:\{([^{}]+)\}:idem:([0-9a-f]{64})$/;

/** A record's key: its owner, and what it is. */
const RECORD = /^ww:\{([^{}]+)\}:(job|container):[^:]+$/;

/** Records every job, desktop and idempotency key that Redis knows and the ledger does not, or knows less of. */
export async function recordEverything(pass: Pass): Promise<void> {
  await recordKeys(pass);
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

/** Records what idempotency keys were used for, as far as Redis remembers it and the ledger does not. */
async function recordKeys({ redis, ledger, count, signal }: Pass): Promise<void> {
  let cursor = '0';
  do {
    const [next, names] = await redis.scan(cursor, 'MATCH', 'ww:{*}:idem:*', 'COUNT', PAGE);
    cursor = next;
    const reads = redis.pipeline();
    for (const name of names) reads.get(name).pttl(name);
    const found = await answers<string | number | null>(reads.exec());
    const used = names.flatMap((name, i) => {
      const [, userId, keyHash] = KEY.exec(name) ?? [];
      const [value, leftMs] = [found[2 * i], Number(found[2 * i + 1])];
      if (!userId || !keyHash || typeof value !== 'string' || leftMs <= 0) return [];
      const { hash: requestHash, jobId, containerId } = JSON.parse(value) as Record<string, string>;
      if (!requestHash || !jobId || containerId === undefined) return [];
      const createdAt = new Date(Date.now() - Math.max(0, ENDED_RECORD_TTL_MS - leftMs));
      return [{ userId, keyHash, requestHash, jobId, containerId, createdAt }];
    });
    const recorded = used.length > 0 ? await ledger.run((db) => recordIdempotencyKeys(db, used)) : 0;
    for (let i = 0; i < recorded; i++) count('recorded');
  } while (cursor !== '0' && !signal.aborted);
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
