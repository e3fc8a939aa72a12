import { hasEnded } from '@warmwind/shared/contract/containers';
import { ApiError } from '@warmwind/shared/contract/errors';
import { isTerminal } from '@warmwind/shared/contract/jobs';
import { readContainers, readJob } from '@warmwind/shared/engine/ledger/reads';
import { restoreContainer, restoreJob } from '@warmwind/shared/engine/ledger/restore';
import { containerIdsOf } from '@warmwind/shared/engine/refs';
import type { Context } from 'hono';
import type { AppEnv } from '../env.ts';
import { unavailable } from '../http/errors.ts';
import { failureOf } from '../http/failure.ts';
import { log } from '../http/log.ts';
import type { Services } from '../services.ts';
import { cancelRun, deleteCancellationMarker } from './cancel-run.ts';
import { recordCancellation } from './record-cancellation.ts';
import { refusal } from './refusal.ts';

/**
 * Cancels the present run of a job of the caller: first in Redis, where workers see it, then in the ledger.
 * When this returns, the run has ended in both.
 * @throws ApiError `not_found` or `conflict` when there is nothing to cancel; `unavailable` when Redis or the
 *   ledger did not answer
 */
export async function cancelJob(c: Context<AppEnv>, services: Services, jobId: string): Promise<void> {
  try {
    await cancel(c, services, jobId);
  } catch (error) {
    if (error instanceof ApiError) throw error;
    log.warn('cancellation outcome unknown', { requestId: c.get('requestId'), ...failureOf(error) });
    throw unavailable('It is unknown whether the job was cancelled: ask for the job, or retry.');
  }
}

async function cancel(c: Context<AppEnv>, services: Services, jobId: string): Promise<void> {
  const { config, ledger } = services;
  const userId = c.get('user').id;
  let verdict = await cancelRun(services, userId, jobId);
  if (verdict.verdict === 'not_found' && (await restoreOpenJob(c, services, jobId))) {
    verdict = await cancelRun(services, userId, jobId);
  }
  if (verdict.verdict === 'not_found') {
    c.executionCtx.waitUntil(deleteCancellationMarker(services, userId, jobId).catch(() => undefined));
  }
  if (verdict.verdict !== 'cancelled') throw refusal(verdict);
  const record = ledger?.run(c, (db) => recordCancellation(db, userId, verdict), config.SUBMIT_TIMEOUT_MS);
  const state = await record;
  if (state !== undefined && state !== 'cancelled') throw refusal({ verdict: 'ended', state });
}

/**
 * Restores to Redis a job that only the ledger has, with its containers that have not ended.
 * @returns whether there is such a job
 * @throws ApiError `conflict` when the job has ended
 */
async function restoreOpenJob(
  c: Context<AppEnv>,
  { ledger, submissions }: Services,
  jobId: string,
): Promise<boolean> {
  const userId = c.get('user').id;
  const found = await ledger?.run(c, async (db) => {
    const job = await readJob(db, userId, jobId);
    return job && { job, containers: await readContainers(db, userId, containerIdsOf(job)) };
  });
  if (!found) return false;
  const { job, containers } = found;
  if (isTerminal(job.state)) throw refusal({ verdict: 'ended', state: job.state });
  const now = Date.now();
  for (const container of containers) {
    if (!hasEnded(container.state)) await submissions.restore(restoreContainer(container, now));
  }
  await submissions.restore(restoreJob(job, now));
  return true;
}
