import type { Notify } from '@warmwind/shared/engine/node/records';
import {
  type About,
  WEBHOOK_DATA_VERSION,
  type WebhookData,
  webhookOptions,
} from '@warmwind/shared/engine/webhooks';
import type { Queue } from 'bullmq';

/**
 * Creates the function that notifies owners and operators of runs. It adds each webhook to the queue under
 * its own id, so that a repeated notification has no effect.
 * @param alerts whether operators receive permanent failures
 */
export const createNotify =
  (queue: () => Queue, alerts: boolean): Notify =>
  async ({ ref, webhook, at, attemptsMade, end }) => {
    const notified: About[] = [];
    if (webhook) notified.push(end ? 'end' : 'active');
    if (alerts && (end?.state === 'failed' || end?.state === 'timed_out')) notified.push('alert');
    const { userId, jobId, run, kind, containerId } = ref;
    await Promise.all(
      notified.map((about) => {
        const data: WebhookData = {
          version: WEBHOOK_DATA_VERSION,
          about,
          userId,
          jobId,
          run,
          kind,
          containerId,
          state: end?.state ?? 'active',
          at,
          attemptsMade,
          ...(end && end.state !== 'completed' && end.error ? { error: end.error } : {}),
        };
        return queue().add(about, data, webhookOptions(data));
      }),
    );
  };
