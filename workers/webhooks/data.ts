import { JOB_KINDS, JobError, TERMINAL_JOB_STATES } from '@warmwind/shared/contract/jobs';
import { z } from 'zod';

/** The version of `WebhookData` this code writes. */
export const WEBHOOK_DATA_VERSION = 1;

/** What is told: that a run was taken, that it ended, and its permanent failure to the operators. */
export type About = 'active' | 'end' | 'alert';

/**
 * What the queue `webhooks` carries: who is to be told of what. Address and result stay in the job's record, so that
 * neither lies in the queue nor is shown to who looks into it.
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

/** Its id in the queue and as `Webhook-Id`: the same however often it is told and sent. */
export const webhookId = ({ jobId, run, about }: Pick<WebhookData, 'jobId' | 'run' | 'about'>): string =>
  `${jobId}.${run}.${about}`;
