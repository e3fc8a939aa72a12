import { ApiError } from '@warmwind/shared/contract/errors';
import type { LimitScope } from '@warmwind/shared/contract/limits';
import { inWords } from '@warmwind/shared/runtime/durations';
import type { Context } from 'hono';
import { createMiddleware } from 'hono/factory';
import type { AppEnv } from '../env.ts';
import { unavailable } from '../http/errors.ts';
import { failureOf } from '../http/failure.ts';
import { log } from '../http/log.ts';
import { type Decision, tightest, waitMs } from './decision.ts';
import { rateLimitHeaders } from './headers.ts';
import type { Limiter } from './limiter.ts';

/** The policy while the limiter does not answer: `open` lets requests pass, `closed` refuses with 503. */
export type LimiterFailurePolicy = 'open' | 'closed';

/**
 * Counts the request against `scopes` of `subject`.
 * @throws ApiError `rate_limited` when one of their tiers is full
 */
export async function charge(
  c: Context<AppEnv>,
  limiter: Limiter,
  subject: string,
  scopes: readonly LimitScope[],
  onFailure: LimiterFailurePolicy,
): Promise<void> {
  c.set('charged', true);
  const decision = await limiter.charge(subject, scopes).catch((error: unknown) => {
    log.warn('the limiter did not answer', { requestId: c.get('requestId'), ...failureOf(error) });
    if (onFailure === 'closed') throw unavailable('The rate limiter did not answer: retry.');
    return undefined;
  });
  if (decision) applyDecision(c, decision, subject);
}

/**
 * Puts a decision into the answer's headers.
 * @throws ApiError `rate_limited` when it is a denial
 */
export function applyDecision(c: Context<AppEnv>, decision: Decision, subject: string): void {
  c.set('decision', decision);
  for (const [name, value] of Object.entries(rateLimitHeaders(decision))) c.header(name, value);
  if (decision.allowed) return;

  const tier = tightest(decision);
  const retryAfterMs = waitMs(decision);
  if (decision.first) {
    log.warn('rate limited', { requestId: c.get('requestId'), subject, tier: tier?.name, retryAfterMs });
  }
  throw new ApiError(
    'rate_limited',
    `Over the limit of ${tier?.name}: try again in ${inWords(retryAfterMs)}.`,
    {
      retryAfterMs,
    },
  );
}

/** Limits a route by its user, before any other work. */
export const limited = (
  limiter: Limiter,
  onFailure: LimiterFailurePolicy,
  scopes: readonly LimitScope[] = ['user'],
) =>
  createMiddleware<AppEnv>(async (c, next) => {
    await charge(c, limiter, c.get('user').id, scopes, onFailure);
    await next();
  });

/**
 * Limits a route after it was answered, unless its request has been charged by then: so a request with a
 * wrong body consumes as any other does. A request whose body is slow is charged before it is complete.
 */
export const chargedAfterwards = (limiter: Limiter, scopes: readonly LimitScope[]) =>
  createMiddleware<AppEnv>(async (c, next) => {
    const chargeNow = async () => {
      if (c.get('charged')) return;
      const charged = charge(c, limiter, c.get('user').id, scopes, 'closed');
      // Also for a client that has disconnected: a request that has begun counts.
      c.executionCtx.waitUntil(charged.catch(() => undefined));
      await charged;
    };
    c.set('chargeNow', chargeNow);
    await next();
    // A request that is refused with 429 consumes nothing: a flood of refusals makes no trips.
    if (c.res.status !== 429) await chargeNow();
  });

/**
 * Limits a route that submits: the script that accepts the job decides its tiers. A user known to be over
 * them is refused before the body is read.
 */
export const limitedBySubmission = (limiter: Limiter, scopes: readonly LimitScope[]) => {
  const afterwards = chargedAfterwards(limiter, scopes);
  return createMiddleware<AppEnv>(async (c, next) => {
    const denied = await limiter.cachedDenial(c.get('user').id, scopes);
    if (denied) applyDecision(c, denied, c.get('user').id);
    return afterwards(c, next);
  });
};
