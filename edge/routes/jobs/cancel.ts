import { createRoute } from '@hono/zod-openapi';
import { hasEnded } from '@warmwind/shared/containers';
import { Accepted } from '@warmwind/shared/contract/answers';
import { ApiError } from '@warmwind/shared/errors';
import { isId } from '@warmwind/shared/ids';
import { isTerminal } from '@warmwind/shared/jobs';
import { readContainers, readJob } from '@warmwind/shared/ledger/reads';
import { restoreContainer, restoreJob } from '@warmwind/shared/ledger/restore';
import type { CancelVerdict } from '@warmwind/shared/records';
import { containerIdsOf } from '@warmwind/shared/refs';
import type { Context } from 'hono';
import { cancelRun, forgetWish, recordCancel } from '../../cancellation/cancel-run.ts';
import { ACCEPTED } from '../../docs/examples.ts';
import type { App, AppEnv } from '../../env.ts';
import { notFound, unavailable } from '../../http/errors.ts';
import { failureOf } from '../../http/failure.ts';
import { log } from '../../http/log.ts';
import { failures, IdParam, json, security } from '../../http/openapi.ts';
import { noQuery } from '../../http/query.ts';
import { limited } from '../../limits/charge.ts';
import type { Services } from '../../services.ts';

/** `DELETE /jobs/:id` */
export function cancelJob(app: App, services: Services): void {
  const route = createRoute({
    method: 'delete',
    path: '/jobs/{id}',
    operationId: 'cancelJob',
    summary: 'Cancel a job, whether it waits or runs',
    description: 'When it races with the end of the job, whichever came first stands.',
    security,
    middleware: [limited(services.limiter, 'closed'), noQuery] as const,
    request: { params: IdParam },
    responses: {
      202: json(Accepted, 'It is cancelled; what runs of it is ended now.', ACCEPTED),
      ...failures(400, 401, 404, 409, 429, 503),
    },
  });
  app.openapi(route, async (c) => {
    const { id } = c.req.valid('param');
    if (!isId(id)) throw notFound('job');
    await orUnknown(c, cancel(c, services, id));
    return c.json({ jobId: id }, 202);
  });
}

/** When this returns the run has ended, in Redis and in the ledger. */
export async function cancel(c: Context<AppEnv>, services: Services, id: string): Promise<void> {
  const { config, ledger } = services;
  const user = c.get('user').id;
  let verdict = await cancelRun(services, user, id);
  if (verdict.verdict === 'not_found' && (await restore(c, services, id))) {
    verdict = await cancelRun(services, user, id);
  }
  if (verdict.verdict === 'not_found') {
    c.executionCtx.waitUntil(forgetWish(services, user, id).catch(() => undefined));
  }
  if (verdict.verdict !== 'cancelled') throw refusal(verdict);
  const state = await ledger?.run(c, (db) => recordCancel(db, user, verdict), config.SUBMIT_TIMEOUT_MS);
  if (state !== undefined && state !== 'cancelled') throw refusal({ verdict: 'ended', state });
}

/** Puts a job that only the ledger knows back into Redis, and the desktop that it starts. → was there one that is open? */
async function restore(c: Context<AppEnv>, { ledger, submissions }: Services, id: string): Promise<boolean> {
  const user = c.get('user').id;
  const known = await ledger?.run(c, async (db) => {
    const job = await readJob(db, user, id);
    return job && { job, containers: await readContainers(db, user, containerIdsOf(job)) };
  });
  if (!known) return false;
  const { job, containers } = known;
  if (isTerminal(job.state)) throw refusal({ verdict: 'ended', state: job.state });
  const now = Date.now();
  for (const container of containers) {
    if (!hasEnded(container.state)) await submissions.restore(restoreContainer(container, now));
  }
  await submissions.restore(restoreJob(job, now));
  return true;
}

function refusal(verdict: Exclude<CancelVerdict, { verdict: 'cancelled' }>): ApiError {
  switch (verdict.verdict) {
    case 'not_found':
      return notFound('job');
    case 'ended':
      return new ApiError('conflict', `The job is ${verdict.state} already: there is nothing to cancel.`);
    case 'uncancellable':
      return new ApiError('conflict', 'A stop is not taken back: start a new desktop instead.');
  }
}

async function orUnknown(c: Context<AppEnv>, work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (error instanceof ApiError) throw error;
    log.warn('a cancellation is unknown', { requestId: c.get('requestId'), ...failureOf(error) });
    throw unavailable('It is unknown whether the job was cancelled: ask for the job, or retry.');
  }
}
