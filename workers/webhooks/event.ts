import { Labels } from '@warmwind/shared/contract/labels';
import { terminalEvent } from '@warmwind/shared/contract/rooms';
import type { WebhookEvent } from '@warmwind/shared/contract/webhook-events';
import type { WebhookSource } from '@warmwind/shared/engine/node/records';
import { type RunWebhook, type WebhookData, webhookId } from '@warmwind/shared/engine/webhooks';
import { parseJson } from '@warmwind/shared/runtime/json';
import { iso } from '@warmwind/shared/runtime/times';
import { z } from 'zod';

/** A larger result is left out, bytes of JSON: `GET /jobs/:id` returns it. */
const MAX_RESULT_BYTES = 65_536;

/**
 * Makes the event of a webhook, the same for every try.
 * @param source the job's result and labels as JSON
 */
export function webhookEvent(
  data: WebhookData,
  { result, labels }: Pick<WebhookSource, 'result' | 'labels'>,
): WebhookEvent {
  if (data.about === 'test') {
    return { id: webhookId(data), time: iso(data.at), type: 'webhook.test', data: { test: true } };
  }
  return runEvent(data, { result, labels });
}

function runEvent(
  data: RunWebhook,
  { result, labels }: Pick<WebhookSource, 'result' | 'labels'>,
): WebhookEvent {
  const { about, jobId, kind, run, userId, state, at, attemptsMade, error, containerId } = data;
  const failed = error ? { error } : {};
  const event = { id: webhookId(data), time: iso(at) };
  if (about === 'alert') {
    const type = 'alert.job_failed';
    return { ...event, type, data: { jobId, kind, run, state, userId, attemptsMade, ...failed } };
  }
  const job = {
    jobId,
    kind,
    run,
    ...(containerId ? { containerId } : {}),
    ...(labels ? { labels: parseJson(Labels, labels) } : {}),
  };
  if (about === 'active' || state === 'active') {
    return { ...event, type: 'job.active', data: { ...job, state: 'active', attempt: attemptsMade + 1 } };
  }
  if (state === 'completed') {
    return { ...event, type: 'job.completed', data: { ...job, state, attemptsMade, ...bounded(result) } };
  }
  const ended = { attemptsMade, ...failed };
  switch (state) {
    case 'failed':
      return { ...event, type: terminalEvent(state), data: { ...job, state, ...ended } };
    case 'cancelled':
      return { ...event, type: terminalEvent(state), data: { ...job, state, ...ended } };
    case 'timed_out':
      return { ...event, type: terminalEvent(state), data: { ...job, state, ...ended } };
  }
}

function bounded(result: string | undefined): { result?: unknown; truncated?: true } {
  if (result === undefined) return {};
  if (Buffer.byteLength(result) > MAX_RESULT_BYTES) return { truncated: true };
  return { result: parseJson(z.unknown(), result) };
}
