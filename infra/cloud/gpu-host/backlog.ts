import { z } from 'zod';

/** The part of the edge's readiness that counts waiting and running jobs, by queue. */
const Ready = z.object({
  details: z.object({
    queues: z.record(z.string(), z.unknown()).optional(),
  }),
});
const Depth = z.object({ waiting: z.number(), active: z.number() });

const WITHIN_MS = 10_000;

/**
 * Reports the fleet's backlog and the edge's readiness as metrics, each minute. They are written as a log
 * line in the form from which CloudWatch reads metrics. An edge that does not answer is not ready, and has no
 * backlog.
 */
export async function handler(): Promise<void> {
  const { READY_URL = '', STAGE = '' } = process.env;
  const response = await fetch(READY_URL, { signal: AbortSignal.timeout(WITHIN_MS) }).catch(() => undefined);
  const body: unknown = await response?.json().catch(() => undefined);
  const backlog = backlogOf(body);
  const values = { Ready: response?.ok ? 1 : 0, ...(backlog === undefined ? {} : { Backlog: backlog }) };
  const metrics = Object.keys(values).map((Name) => ({ Name, Unit: 'Count' }));
  const CloudWatchMetrics = [{ Namespace: 'Warmwind', Dimensions: [['Stage']], Metrics: metrics }];
  console.log(
    JSON.stringify({ _aws: { Timestamp: Date.now(), CloudWatchMetrics }, Stage: STAGE, ...values }),
  );
}

/** Counts the waiting and running jobs of all queues; `undefined` when the answer has no depths. */
export function backlogOf(body: unknown): number | undefined {
  const ready = Ready.safeParse(body);
  if (!ready.success || !ready.data.details.queues) return undefined;
  const depths = Object.values(ready.data.details.queues).flatMap(
    (depth) => Depth.safeParse(depth).data ?? [],
  );
  if (depths.length === 0) return undefined;
  return depths.reduce((sum, { waiting, active }) => sum + waiting + active, 0);
}
