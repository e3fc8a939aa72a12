import { JOB_KINDS, JobError, TERMINAL_JOB_STATES } from '@warmwind/shared/contract/jobs';
import { z } from 'zod';

/** The version of `WebhookData` that this code writes. */
export const WEBHOOK_DATA_VERSION = 1;

/**
 * The kind of a webhook: a run was taken, a run ended, or an alert to the operators about a permanent
 * failure.
 */
export type About = 'active' | 'end' | 'alert';

/**
 * The data of a job in the queue `webhooks`. Address and result stay in the record of the job, so that they
 * are neither stored in the queue nor visible in Bull Board.
 */
export const WebhookData = z.object({
  version: z.literal(WEBHOOK_DATA_VERSION),
  about: z.enum(['active', 'end', 'alert']),
  userId: z.string(),
  jobId: z.string(),
  run: z.number().int(),
  kind: z.enum(JOB_KINDS),
  containerId: z.string(),
  state: z.enum(['active', ...TERMINAL_JOB_STATES]),
  /** ms */
  at: z.number(),
  attemptsMade: z.number().int(),
  error: JobError.optional(),
});
export type WebhookData = z.infer<typeof WebhookData>;

/** Makes its id in the queue and as `Webhook-Id`: the same for every notification and every try. */
export const webhookId = ({ jobId, run, about }: Pick<WebhookData, 'jobId' | 'run' | 'about'>): string =>
  `${jobId}.${run}.${about}`;
