import { parseJson } from '@warmwind/shared/json';
import { iso } from '@warmwind/shared/times';
import type { WebhookEvent } from '@warmwind/shared/webhooks';
import { z } from 'zod';
import { type WebhookData, webhookId } from './data.ts';

/** A larger result is left out, bytes of JSON: `GET /jobs/:id` has it. */
const MAX_RESULT_BYTES = 65_536;

/** What is sent, the same in every try. `result` is the job's as JSON. */
export function webhookEvent(data: WebhookData, result: string | undefined): WebhookEvent {
  const { about, jobId, kind, run, userId, state, at, attemptsMade, error, containerId } = data;
  const failed = error ? { error } : {};
  const event = { id: webhookId(data), time: iso(at) };
  if (about === 'alert') {
    return {
      ...event,
      type: 'alert.job_failed',
      data: { jobId, kind, run, state, userId, attemptsMade, ...failed },
    };
  }
  const desktop = containerId ? { containerId } : {};
  const told = { jobId, kind, run, state, ...desktop };
  if (about === 'active') {
    return { ...event, type: 'job.active', data: { ...told, attempt: attemptsMade + 1 } };
  }
  return {
    ...event,
    type: `job.${state}`,
    data: { ...told, attemptsMade, ...failed, ...(state === 'completed' ? bounded(result) : {}) },
  };
}

function bounded(result: string | undefined): Record<string, unknown> {
  if (result === undefined) return {};
  if (Buffer.byteLength(result) > MAX_RESULT_BYTES) return { truncated: true };
  return { result: parseJson(z.unknown(), result) };
}
