import { z } from 'zod';
import { iso } from '../runtime/times.ts';
import { WebhookUrl } from './webhook-target.ts';

export const DELIVERY_STATES = ['pending', 'delivered', 'failed', 'cancelled'] as const;
export type DeliveryState = (typeof DELIVERY_STATES)[number];
/** States in which nothing more is sent, unless its owner sends it again. */
export const ENDED_DELIVERY_STATES = ['delivered', 'failed', 'cancelled'] as const;

/** The most deliveries of one user that are listed. */
export const MAX_DELIVERIES = 10_000;

/** A webhook of a user and how its delivery goes. Times are ISO 8601 in UTC. */
export const WebhookDelivery = z
  .object({
    id: z.string().describe('Its `Webhook-Id`.'),
    jobId: z.string().optional().describe('The job that it is about; none of a test.'),
    about: z.enum(['active', 'end', 'test']).describe('A run was taken, a run ended, or a test.'),
    state: z
      .enum(DELIVERY_STATES)
      .describe('`failed`: it is not tried again, because of its answer or after 24 hours.'),
    host: z.string().optional().describe('Host and port of the receiver, once they are known.'),
    attempts: z.number().int().describe('How often it was sent, or tried to be.'),
    resends: z.number().int().describe('How often its owner had it sent again.'),
    status: z.number().int().optional().describe('The HTTP status of the last answer.'),
    reason: z
      .string()
      .optional()
      .describe(
        'Why the last try had no answer, or none follows: `timeout`, `address_refused`, `forgotten`, `gone`, or the code ' +
          'of the network error.',
      ),
    createdAt: z.iso.datetime().describe('When it was queued first, in UTC.'),
    attemptedAt: z.iso.datetime().optional().describe('When it was tried last, in UTC.'),
    nextAttemptAt: z.iso.datetime().optional().describe('When it is tried again, about, in UTC.'),
    endedAt: z.iso.datetime().optional().describe('When it was delivered, failed or cancelled, in UTC.'),
  })
  .meta({ id: 'WebhookDelivery' });
export type WebhookDelivery = z.infer<typeof WebhookDelivery>;

/**
 * Reads a delivery, as its owner sees it, from its Redis hash.
 * @returns `undefined` when there is no such record
 */
export function deliveryFromRecord(record: Record<string, string>): WebhookDelivery | undefined {
  if (!record.id) return undefined;
  const { jobId, host, status, reason, attemptedAt, nextAt, endedAt } = record;
  return {
    id: record.id,
    ...(jobId ? { jobId } : {}),
    about: record.about as WebhookDelivery['about'],
    state: record.state as DeliveryState,
    ...(host ? { host } : {}),
    attempts: Number(record.attempts ?? 0),
    resends: Number(record.resends ?? 0),
    ...(status ? { status: Number(status) } : {}),
    ...(reason ? { reason } : {}),
    createdAt: iso(record.createdAt),
    ...(attemptedAt ? { attemptedAt: iso(attemptedAt) } : {}),
    ...(nextAt ? { nextAttemptAt: iso(nextAt) } : {}),
    ...(endedAt ? { endedAt: iso(endedAt) } : {}),
  };
}

/** The body of `POST /webhooks/test`. */
export const WebhookTest = z
  .strictObject({ url: WebhookUrl.describe('Where to send the test: it is tried once.') })
  .meta({ id: 'WebhookTest' });
export type WebhookTest = z.infer<typeof WebhookTest>;

/** The `202` of the routes that send a webhook. */
export const WebhookQueued = z
  .object({ id: z.string().describe('The delivery: GET /webhooks/deliveries/{id}.') })
  .meta({ id: 'WebhookQueued' });
export type WebhookQueued = z.infer<typeof WebhookQueued>;
