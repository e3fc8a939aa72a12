import { keys } from '@warmwind/shared/engine/keys';
import { idempotencyKeysOf, openJobs } from '@warmwind/shared/engine/ledger/reads';
import { type JobRow, jobRow } from '@warmwind/shared/engine/ledger/rows';
import { hostOfQueue, JOB_DATA_VERSION, queueJobId } from '@warmwind/shared/engine/queues';
import { ENDED_RECORD_TTL_MS } from '@warmwind/shared/engine/records';
import { each } from '../each.ts';
import { enqueue } from '../runtime/enqueue.ts';
import { isNewerJob, recordNewer } from './newer.ts';
import { answers, openRows, readRows } from './pages.ts';
import { lookUp } from './queued-runs.ts';
import type { ReconcileContext } from './reconcile.ts';

const AT_ONCE = 8;

/**
 * Jobs that the ledger holds open: one that Redis has forgotten comes back, one that has ended is closed, and one that
 * its queue does not hold is added again.
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

/** A Redis that lost its last seconds has an older record. */
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

/** Adds those that their queue does not hold. One that it finished a moment ago is about to be told of: it is left alone. */
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
    // Its end, or its move to another queue, comes before it leaves this one: read after that, the record tells.
    const now = await redis.hmget(keys.job(userId, jobId), 'run', 'queue', 'finishedAt');
    if (now[0] !== `${run}` || now[1] !== queue || now[2]) return;
    const host = hostOfQueue(queue);
    // Should nobody serve that host's queue any more, the check for lost hosts must see it.
    if (host) await redis.zadd(keys.hosts(), 'NX', Date.now(), host);
    const about = { containerId, ...(containerIds ? { containerIds } : {}) };
    const data = { version: JOB_DATA_VERSION, kind, userId, jobId, run, ...about, requestId };
    await enqueue(context.queue(queue), data, job.priority);
    count('reenqueued');
  };
  await each(missing, AT_ONCE, add, skip);
}
