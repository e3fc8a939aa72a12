import { readUserKey, userKeyPattern } from '@warmwind/shared/engine/keys';
import { containerRow, jobRow } from '@warmwind/shared/engine/ledger/rows';
import { recordIdempotencyKeys } from '@warmwind/shared/engine/ledger/submissions';
import { ENDED_RECORD_TTL_MS } from '@warmwind/shared/engine/records';
import { parseJson } from '@warmwind/shared/runtime/json';
import { z } from 'zod';
import type { ReconcileContext } from './context.ts';
import { recordNewer } from './newer.ts';
import { allRecords, answers, answersApart, readable, scan } from './pages.ts';

/**
 * Records every job, desktop and idempotency key that the ledger lacks or holds in an older state than Redis.
 */
export async function recordAll(context: ReconcileContext): Promise<void> {
  await recordKeys(context);
  for await (const found of allRecords(context, 'job')) {
    const jobs = readable(context, found, ({ user, record }) => jobRow(user, record));
    await recordNewer(context, { jobs, containers: [] });
  }
  for await (const found of allRecords(context, 'container')) {
    const containers = readable(context, found, ({ user, record }) => containerRow(user, record));
    await recordNewer(context, { jobs: [], containers });
  }
}

/** Records the idempotency keys that Redis holds and the ledger lacks. */
async function recordKeys(context: ReconcileContext): Promise<void> {
  const { redis, ledger, count } = context;
  for await (const names of scan(context, userKeyPattern('idem'))) {
    const owned = names.flatMap((key) => {
      const read = readUserKey(key);
      return read?.kind === 'idem' ? { key, userId: read.user, keyHash: read.id } : [];
    });
    const values = redis.pipeline();
    for (const { key } of owned) values.get(key);
    const left = redis.pipeline();
    for (const { key } of owned) left.pttl(key);
    const asked = owned.map(({ key }) => key);
    const found = await answersApart<string | null>(context, asked, values.exec());
    const leftMs = await answers<number>(left.exec());
    const entries = owned.map((entry, i) => ({ ...entry, value: found[i], leftMs: leftMs[i] ?? 0 }));
    const used = readable(context, entries, usedKey).flatMap((key) => key ?? []);
    const recorded = used.length > 0 ? await ledger.run((db) => recordIdempotencyKeys(db, used)) : 0;
    for (let i = 0; i < recorded; i++) count('recorded');
  }
}

type Entry = { userId: string; keyHash: string; value: string | null | undefined; leftMs: number };

const Used = z.object({ hash: z.string(), jobId: z.string(), containerId: z.string() }).partial();

/** Returns `undefined` for a key that has expired or belongs to no submission. */
function usedKey({ userId, keyHash, value, leftMs }: Entry) {
  if (typeof value !== 'string' || leftMs <= 0) return undefined;
  const { hash: requestHash, jobId, containerId } = parseJson(Used, value);
  if (!requestHash || !jobId || containerId === undefined) return undefined;
  const createdAt = new Date(Date.now() - Math.max(0, ENDED_RECORD_TTL_MS - leftMs));
  return { userId, keyHash, requestHash, jobId, containerId, createdAt };
}
