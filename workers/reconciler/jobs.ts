import { keys } from '@warmwind/shared/engine/keys';
import { idempotencyKeysOf, openJobs } from '@warmwind/shared/engine/ledger/reads';
import { type JobRow, jobRow } from '@warmwind/shared/engine/ledger/rows';
import { hostOfQueue, JOB_DATA_VERSION, queueJobId } from '@warmwind/shared/engine/queues';
import { ENDED_RECORD_TTL_MS } from '@warmwind/shared/engine/records';
import { each } from '../each.ts';
import { enqueue } from '../runtime/enqueue.ts';
import type { ReconcileContext } from './context.ts';
import { isNewerJob, recordNewer } from './newer.ts';
import { answers, openRows, readRows } from './pages.ts';
import { lookUp } from './queued-runs.ts';

const AT_ONCE = 8;

/**
 * Reconciles the open jobs of the ledger. Restores records that Redis lost, closes jobs that have ended, and
 * adds runs again that are missing in their queue.
 */
export async function reconcileJobs(context: ReconcileContext): Promise<void> {
  for await (const rows of openRows(context, openJobs)) {
    const asked = rows.map(({ userId, id }) => ({ key: keys.job(userId, id), userId }));
    const records = await readRows(context, asked, jobRow);
    const lost = rows.filter((row, i) => isBehind(records[i], row));
    await restore(context, lost);
    const known = rows.map((row, i) => (lost.includes(row) ? row : (records[i] ?? row)));
    const newer = known.filter((record, i) => record !== rows[i] && isNewerJob(record, rows[i]));
    await recordNewer(context, { jobs: newer, containers: [] });
    await addLost(
      context,
      known.filter(({ finishedAt }) => !finishedAt),
    );
  }
}

/** Whether the record is missing or older than its row: Redis may have lost its last seconds. */
const isBehind = (record: JobRow | undefined, row: JobRow): boolean =>
  !record || record.run < row.run || (record.run === row.run && record.fence < row.fence);

async function restore(
  { redis, ledger, records, skip, count }: ReconcileContext,
  rows: JobRow[],
): Promise<void> {
  if (rows.length === 0) return;
  const restored = async (row: JobRow) => {
    if (await records.jobs.restore(row)) count('restored');
  };
  await each(rows, AT_ONCE, restored, skip);
  const used = await ledger.run((db) =>
    idempotencyKeysOf(
      db,
      rows.map(({ id }) => id),
    ),
  );
  const pipeline = redis.pipeline();
  for (const { userId, keyHash, requestHash: hash, jobId, containerId, createdAt } of used) {
    const leftMs = createdAt.getTime() + ENDED_RECORD_TTL_MS - Date.now();
    const value = JSON.stringify({ hash, jobId, containerId });
    if (leftMs > 0) pipeline.set(keys.idempotency(userId, keyHash), value, 'PX', leftMs, 'NX');
  }
  await answers(pipeline.exec());
}

/**
 * Adds open runs that are missing in their queue. Leaves those that finished there just now: their end
 * follows.
 */
async function addLost(context: ReconcileContext, open: JobRow[]): Promise<void> {
  const { redis, until, skip, count } = context;
  const found = await lookUp(
    redis,
    open.map(({ queue, id, run }) => ({ queue, id: queueJobId(id, run) })),
  );
  const missing = open.filter((_, i) => {
    const known = found[i];
    return known === 'no' || (typeof known === 'number' && known < until);
  });
  const add = async (job: JobRow) => {
    const { userId, id: jobId, run, kind, containerId, containerIds, requestId, queue } = job;
    // A run ends, or moves to another queue, before it leaves this one: a record that is read later shows it.
    const now = await redis.hmget(keys.job(userId, jobId), 'run', 'queue', 'finishedAt');
    if (now[0] !== `${run}` || now[1] !== queue || now[2]) return;
    const host = hostOfQueue(queue);
    // If no worker serves that host's queue any more, the check for lost hosts must find it.
    if (host) await redis.zadd(keys.hosts(), 'NX', Date.now(), host);
    const about = { containerId, ...(containerIds ? { containerIds } : {}) };
    const data = { version: JOB_DATA_VERSION, kind, userId, jobId, run, ...about, requestId };
    await enqueue(context.queue(queue), data, job.priority);
    count('reenqueued');
  };
  await each(missing, AT_ONCE, add, skip);
}
