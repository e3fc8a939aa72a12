import type { InferenceInput } from '@warmwind/shared/inference';
import type { LimitScope } from '@warmwind/shared/limits';
import { inferenceQueue, PRIORITY_CLASS } from '@warmwind/shared/queues';
import type { Context } from 'hono';
import type { AppEnv } from '../env.ts';
import { MAX_IMAGE_BODY_BYTES, tooLarge } from '../http/body.ts';
import type { Idempotency } from '../jobs/idempotency.ts';
import type { AcceptedJob } from '../jobs/submission.ts';
import { submit } from '../jobs/submit.ts';
import type { Services } from '../services.ts';

/** What limits a request to a model, whatever way it came. */
export const INFERENCE_SCOPES: LimitScope[] = ['user'];

/** A request to a model becomes a job. */
export function submitInference(
  c: Context<AppEnv>,
  services: Services,
  request: {
    input: InferenceInput;
    idempotency: Idempotency | undefined;
    webhookUrl?: string | undefined;
    timeoutMs?: number | undefined;
  },
): Promise<AcceptedJob> {
  const { PREMIUM_MODELS, QUOTAS } = services.config;
  const { input, idempotency, webhookUrl, timeoutMs } = request;
  return submit(c, services, {
    action: 'inference',
    kind: 'inference',
    queue: inferenceQueue(input.model),
    userId: c.get('user').id,
    requestId: c.get('requestId'),
    scopes: INFERENCE_SCOPES,
    idempotency,
    containerId: input.containerId ?? '',
    webhookUrl,
    timeoutMs,
    input: written(input),
    priorityClass: PREMIUM_MODELS.includes(input.model) ? PRIORITY_CLASS.premium : PRIORITY_CLASS.other,
    quotas: QUOTAS,
  });
}

/** JSON that is no larger than a body may be: defaults may have made it longer. */
function written(input: InferenceInput): string {
  const text = JSON.stringify(input);
  if (new TextEncoder().encode(text).byteLength > MAX_IMAGE_BODY_BYTES) throw tooLarge(MAX_IMAGE_BODY_BYTES);
  return text;
}
