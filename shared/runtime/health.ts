import { z } from 'zod';
import { withTimeout } from './timeout.ts';

const Indicator = z
  .looseObject({
    status: z.enum(['up', 'down']).describe('State of this part.'),
    message: z.string().optional().describe('The fault and the next step.'),
  })
  .meta({ id: 'HealthIndicator' });
export type Indicator = z.infer<typeof Indicator>;

/** The answer of `/health/live` and `/health/ready` in every service: 200 when `ok`, else 503. */
export const Health = z
  .object({
    status: z.enum(['ok', 'error', 'shutting_down']).describe('`ok` when every part is up.'),
    info: z.record(z.string(), Indicator).describe('Parts that are up.'),
    error: z.record(z.string(), Indicator).describe('Parts that are down.'),
    details: z.record(z.string(), Indicator).describe('All parts.'),
  })
  .meta({ id: 'Health' });
export type Health = z.infer<typeof Health>;

/** One check of a probe: returns details, or throws. */
export type Check = () => Promise<Record<string, unknown>>;

/** Each check's bound, ms. */
export const CHECK_TIMEOUT_MS = 1500;

/** Depth of one queue: `waiting` counts waiting, prioritized and delayed jobs. */
export type QueueDepth = {
  waiting: number;
  active: number;
  delayed: number;
  failed: number;
  backpressure: boolean;
};

/** Converts BullMQ's counts to the depth that `/health/ready` reports. */
export function queueDepth(counts: Record<string, number>, above: number): QueueDepth {
  const delayed = counts.delayed ?? 0;
  const waiting =
    (counts.waiting ?? counts.wait ?? 0) + (counts.paused ?? 0) + (counts.prioritized ?? 0) + delayed;
  return {
    waiting,
    active: counts.active ?? 0,
    delayed,
    failed: counts.failed ?? 0,
    backpressure: waiting > above,
  };
}

/** Runs every check at once, each within `timeoutMs`; never rejects. */
export async function checkHealth(
  checks: Record<string, Check>,
  timeoutMs = CHECK_TIMEOUT_MS,
): Promise<Health> {
  const results = await Promise.all(
    Object.entries(checks).map(async ([name, check]): Promise<[string, Indicator]> => {
      try {
        return [name, { status: 'up', ...(await withTimeout(check(), timeoutMs)) }];
      } catch (error) {
        return [name, { status: 'down', message: error instanceof Error ? error.message : 'check failed' }];
      }
    }),
  );
  const pick = (status: string) => Object.fromEntries(results.filter(([, r]) => r.status === status));
  const error = pick('down');
  const status = Object.keys(error).length === 0 ? 'ok' : 'error';
  return { status, info: pick('up'), error, details: Object.fromEntries(results) };
}
