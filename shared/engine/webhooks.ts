import { z } from 'zod';
import { JOB_KINDS, JobError, TERMINAL_JOB_STATES } from '../contract/jobs.ts';
import { WEBHOOK_DEADLINE_MS } from '../contract/webhook-target.ts';
import { ENDED_RECORD_TTL_MS } from './records.ts';

/** The version of `WebhookData` that this code writes. */
export const WEBHOOK_DATA_VERSION = 1;

/**
 * The kind of a webhook of a run: it was taken, it ended, or an alert to the operators about a permanent failure.
 */
export type About = 'active' | 'end' | 'alert';

const common = {
  version: z.literal(WEBHOOK_DATA_VERSION),
  userId: z.string(),
  /** ms */
  at: z.number(),
  /** How often its owner has sent it again: a delivery of its own in the queue each time. */
  resends: z.number().int().optional(),
};

/**
 * The data of a job in the queue `webhooks`. Address and result stay in the record of the job, or that of the
 * delivery, so that they are neither stored in the queue nor visible in Bull Board.
 */
export const WebhookData = z.discriminatedUnion('about', [
  z.object({
    ...common,
    about: z.enum(['active', 'end', 'alert']),
    jobId: z.string(),
    run: z.number().int(),
    kind: z.enum(JOB_KINDS),
    containerId: z.string(),
    state: z.enum(['active', ...TERMINAL_JOB_STATES]),
    attemptsMade: z.number().int(),
    error: JobError.optional(),
  }),
  z.object({ ...common, about: z.literal('test'), testId: z.string() }),
]);
export type WebhookData = z.infer<typeof WebhookData>;
/** A webhook about a run of a job. */
export type RunWebhook = Exclude<WebhookData, { about: 'test' }>;

/** Makes its `Webhook-Id`: the same for every notification, every try and every time that it is sent again. */
export const webhookId = (
  data:
    | Pick<RunWebhook, 'about' | 'jobId' | 'run'>
    | Pick<Extract<WebhookData, { about: 'test' }>, 'about' | 'testId'>,
): string => (data.about === 'test' ? `${data.testId}.test` : `${data.jobId}.${data.run}.${data.about}`);

/** Does it have the form of the id of a user's webhook? Any other can't exist: answer `not_found`. */
export const isWebhookId = (id: string): boolean =>
  /^[A-Za-z0-9_-]{1,64}\.(test|\d{1,9}\.(active|end))$/.test(id);

/** Time ends the tries, not their number. */
const ATTEMPTS = 1000;
/** Sent webhooks are remembered while their record may be notified again: age in s, and maximum number. */
const KEPT = { age: ENDED_RECORD_TTL_MS / 1000, count: 50_000 };

/** BullMQ's options for a webhook: its id makes a repeated notification have no effect. */
export const webhookOptions = (data: WebhookData) => ({
  jobId: data.resends ? `${webhookId(data)}.${data.resends}` : webhookId(data),
  attempts: ATTEMPTS,
  backoff: { type: 'webhook' },
  removeOnComplete: KEPT,
  removeOnFail: { ...KEPT, age: WEBHOOK_DEADLINE_MS / 1000 },
});
