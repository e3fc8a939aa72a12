import { z } from 'zod';
import { JobSubject } from './events.ts';
import { JobError, TERMINAL_JOB_STATES } from './jobs.ts';
import { Labels } from './labels.ts';

const notice = { id: z.string(), time: z.iso.datetime().describe('When it happened, in UTC.') };
const OfRun = JobSubject.extend({ run: z.number().int().min(1) });
const OfJob = OfRun.extend({ labels: Labels.optional().describe('The labels of the job.') });
const failure = { error: JobError.optional() };

const ended = <const State extends (typeof TERMINAL_JOB_STATES)[number], Data extends z.ZodRawShape>(
  state: State,
  data: Data,
) =>
  z.object({
    ...notice,
    type: z.literal(`job.${state}`),
    data: OfJob.extend({ state: z.literal(state), attemptsMade: z.number().int(), ...data }),
  });

/**
 * The request that a webhook receives, as JSON. `id` is the same in each attempt, and in the header
 * `Webhook-Id`.
 */
export const WebhookEvent = z.discriminatedUnion('type', [
  z
    .object({
      ...notice,
      type: z.literal('job.active'),
      data: OfJob.extend({ state: z.literal('active'), attempt: z.number().int() }),
    })
    .describe('A worker took the run for the first time.'),
  ended('completed', {
    result: z.unknown().optional(),
    truncated: z.literal(true).optional().describe('The result is too large: GET /jobs/{id} has it.'),
  }).describe('The run succeeded.'),
  ended('failed', failure).describe('The run failed for good.'),
  ended('cancelled', failure).describe('The run was cancelled.'),
  ended('timed_out', failure).describe('The last attempt of the run took too long.'),
  z
    .object({ ...notice, type: z.literal('webhook.test'), data: z.object({ test: z.literal(true) }) })
    .describe('Requested by POST /webhooks/test.'),
  z
    .object({
      ...notice,
      type: z.literal('alert.job_failed'),
      data: OfRun.extend({
        state: z.enum(['active', ...TERMINAL_JOB_STATES]),
        userId: z.string(),
        attemptsMade: z.number().int(),
        ...failure,
      }),
    })
    .describe('A run of any user failed for good or timed out; for operators.'),
]);
export type WebhookEvent = z.infer<typeof WebhookEvent>;
