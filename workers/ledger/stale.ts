import { keys } from '@warmwind/shared/keys';
import { containersById, jobsById } from '@warmwind/shared/ledger/reads';
import { containerRow, jobRow } from '@warmwind/shared/ledger/rows';
import { byId, idsOf } from './ahead.ts';
import { closeDesktop } from './desktops.ts';
import { endOf } from './entries.ts';
import { PAGE, readRecords } from './pages.ts';
import type { Pass } from './reconcile.ts';

/**
 * What Redis holds open and the ledger knows to have ended, wherever it is: a Redis that lost its last seconds has such
 * records, and nothing else leads to them.
 */
export async function closeStale(pass: Pass): Promise<void> {
  const { redis, ledger, records, count, signal } = pass;
  for (const kind of ['job', 'container'] as const) {
    const record = new RegExp(`^ww:\\{([^{}]+)\\}:${kind}:[^:]+$`);
    let cursor = '0';
    do {
      const [next, names] = await redis.scan(cursor, 'MATCH', keys[kind]('*', '*'), 'COUNT', PAGE);
      cursor = next;
      const owned = names.flatMap((name) => {
        const user = record.exec(name)?.[1];
        return user ? { name, user } : [];
      });
      const found = await readRecords(
        redis,
        owned.map(({ name }) => name),
      );
      if (kind === 'job') {
        const open = owned.flatMap(({ user }, i) => (found[i] ? jobRow(user, found[i]) : []));
        const held = open.filter(({ finishedAt }) => !finishedAt);
        const rows = byId(held.length > 0 ? await ledger.run((db) => jobsById(db, idsOf(held))) : []);
        for (const { id, run, userId, kind: of, containerId } of held) {
          const row = rows.get(id);
          const end = row?.run === run ? endOf(row) : undefined;
          const ref = { userId, jobId: id, run, kind: of, containerId };
          if (end && (await records.endJob(ref, end)) === 'ok') count('closed');
        }
      } else {
        const open = owned.flatMap(({ user }, i) => (found[i] ? containerRow(user, found[i]) : []));
        const held = open.filter(({ endedAt }) => !endedAt);
        const rows = held.length > 0 ? await ledger.run((db) => containersById(db, idsOf(held))) : [];
        for (const row of rows) if (row.endedAt) await closeDesktop(pass, row);
      }
    } while (cursor !== '0' && !signal.aborted);
  }
}
