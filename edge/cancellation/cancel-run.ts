import { CANCEL_PLANS } from '@warmwind/shared/contract/plan';
import { CANCELLED_CHANNEL, keys } from '@warmwind/shared/keys';
import { recordChanges } from '@warmwind/shared/ledger/changes';
import type { Db } from '@warmwind/shared/ledger/db';
import { readJob } from '@warmwind/shared/ledger/reads';
import { containerRow, jobRow } from '@warmwind/shared/ledger/rows';
import { cancelJob } from '@warmwind/shared/lua/cancel.lua';
import {
  type CancelVerdict,
  type ChangedRecords,
  ENDED_RECORD_TTL_MS,
  MAX_CHANGES,
  OPEN_RECORD_TTL_MS,
} from '@warmwind/shared/records';
import { timeOf } from '../admission/submission.ts';
import type { Services } from '../services.ts';

/**
 * Ends a job's run in Redis, in one trip. Before it the wish is written down where workers look for what they have not
 * heard of, and the user's changes are announced to the ledger's drain.
 */
export async function cancelRun(
  { redis, ledger }: Pick<Services, 'redis' | 'ledger'>,
  userId: string,
  jobId: string,
): Promise<CancelVerdict> {
  const asked = { score: Date.now(), member: wish(userId, jobId) };
  const { keys: names, args } = cancelJob.call(
    { userId, jobId },
    {
      userId,
      jobId,
      endedTtlMs: ENDED_RECORD_TTL_MS,
      openTtlMs: OPEN_RECORD_TTL_MS,
      maxChanges: ledger ? MAX_CHANGES : '',
      channel: CANCELLED_CHANNEL,
      plans: JSON.stringify(CANCEL_PLANS),
    },
  );
  const trip = redis.pipeline();
  trip.zadd(keys.cancellations(), asked);
  if (ledger) trip.zincrby(keys.changedUsers(), 1, userId);
  trip.eval(cancelJob.lua, names, args);
  const answers = await trip.exec<unknown[]>();
  return cancelJob.read(answers.at(-1));
}

/** Nobody has to follow up a job that never was. Of one that was, a run that was cancelled before may still be. */
export async function forgetWish({ redis }: Services, userId: string, jobId: string): Promise<void> {
  await redis.zrem(keys.cancellations(), wish(userId, jobId));
}

const wish = (userId: string, jobId: string): string => `${userId}/${jobId}`;

/** Tells the ledger of a cancelled run. → the state that stands there: another end may have come first. */
export async function recordCancel(
  db: Db,
  userId: string,
  { job, containers = [] }: ChangedRecords,
): Promise<string> {
  const row = jobRow(userId, job.record);
  const { jobs: late } = await recordChanges(db, {
    jobs: [{ seq: job.seq, at: timeOf(job.seq), job: row }],
    containers: containers.map(({ seq, record }) => ({
      seq,
      at: timeOf(seq),
      container: containerRow(userId, record),
    })),
  });
  if (late.length === 0) return row.state;
  return (await readJob(db, userId, row.id))?.state ?? row.state;
}
