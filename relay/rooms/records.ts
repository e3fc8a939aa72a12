import { keys } from '@warmwind/shared/engine/keys';
import { readContainer, readJob } from '@warmwind/shared/engine/ledger/reads';
import { containerRecord, type Fields, jobRecord } from '@warmwind/shared/engine/ledger/rows';
import type { Ledger } from '@warmwind/shared/engine/node/ledger';
import type { FairGate } from '@warmwind/shared/runtime/node/fair-gate';
import type { Redis } from 'ioredis';

/** The sources of records of jobs and desktops, read only: the queue Redis, then the ledger. */
export type RecordSources = { queue: Redis; ledger: Ledger | undefined; ledgerReads: FairGate };

/**
 * Reads a job's or desktop's record.
 * @returns an empty record when the owner has none
 * @throws when the queue Redis or the ledger does not answer
 */
export async function readRecord(
  { queue, ledger, ledgerReads }: RecordSources,
  kind: 'job' | 'container',
  owner: string,
  id: string,
): Promise<Fields> {
  const key = kind === 'job' ? keys.job(owner, id) : keys.container(owner, id);
  const record = await queue.hgetall(key);
  if (record.id || !ledger) return record;
  return ledgerReads.run(owner, async () => {
    if (kind === 'job') {
      const row = await ledger.run((db) => readJob(db, owner, id));
      return row ? jobRecord(row) : {};
    }
    const row = await ledger.run((db) => readContainer(db, owner, id));
    return row ? containerRecord(row) : {};
  });
}
