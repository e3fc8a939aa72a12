import { createRoute, z } from '@hono/zod-openapi';
import { ApiError } from '@warmwind/shared/contract/errors';
import { readUsage, UsageDay } from '@warmwind/shared/engine/ledger/usage';
import { USAGE } from '../docs/examples.ts';
import type { App } from '../env.ts';
import { badRequest, unavailable } from '../http/errors.ts';
import { failureOf } from '../http/failure.ts';
import { log } from '../http/log.ts';
import { failures, json, security } from '../http/openapi.ts';
import { queryOf } from '../http/query.ts';
import { limited } from '../limits/charge.ts';
import type { Services } from '../services.ts';

const DAY_MS = 86_400_000;
const DEFAULT_DAYS = 30;
const MAX_DAYS = 366;

const Day = z.iso
  .date({ error: 'use a day as YYYY-MM-DD' })
  .refine((day) => day >= '1970', 'use a day since 1970');

const Usage = z.object({ items: z.array(UsageDay).describe('Days with any use.') }).meta({ id: 'Usage' });

/** `GET /usage`: by day, from the ledger. */
export function getUsageRoute(app: App, { limiter, ledger }: Services): void {
  const route = createRoute({
    method: 'get',
    path: '/usage',
    operationId: 'getUsage',
    summary: 'Your usage by day',
    description: `Days (UTC) with any use, oldest first. A job or desktop counts on the day it ends, a running desktop up to now.`,
    security,
    middleware: [limited(limiter, 'open')] as const,
    request: {
      query: queryOf({
        since: Day.optional().describe(`The first day; default: ${DEFAULT_DAYS} days up to \`until\`.`),
        until: Day.optional().describe(`The last day; default: today. At most ${MAX_DAYS} days.`),
      }),
    },
    responses: {
      200: json(Usage, 'The days.', USAGE),
      ...failures(400, 401, 404, 429, 503),
    },
  });
  app.openapi(route, async (c) => {
    if (!ledger) {
      throw new ApiError(
        'not_found',
        'Usage is counted in the ledger, and this deployment has none (LEDGER=off).',
      );
    }
    const now = new Date();
    const { since, until } = daysOf(c.req.valid('query'), now);
    const user = c.get('user').id;
    const items = await ledger
      .read(c, (db) => readUsage(db, user, since, until, now))
      .catch((error: unknown) => {
        log.warn('the ledger did not answer', { requestId: c.get('requestId'), ...failureOf(error) });
        throw unavailable('Usage can not be read now: retry.');
      });
    return c.json({ items }, 200);
  });
}

function daysOf(query: { since?: string | undefined; until?: string | undefined }, now: Date) {
  const until = query.until ?? now.toISOString().slice(0, 10);
  const since = query.since ?? dayBefore(until, DEFAULT_DAYS - 1);
  if (since > until) throw badRequest([{ path: 'since', message: 'use a day that is not after until' }]);
  if (since < dayBefore(until, MAX_DAYS - 1)) {
    throw badRequest([{ path: 'since', message: `ask for at most ${MAX_DAYS} days` }]);
  }
  return { since, until };
}

const dayBefore = (day: string, days: number): string =>
  new Date(Date.parse(day) - days * DAY_MS).toISOString().slice(0, 10);
