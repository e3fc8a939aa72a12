import { beginDelivery, settleDelivery } from '@warmwind/shared/engine/scripts/webhook.lua';
import { type WebhookData, webhookId } from '@warmwind/shared/engine/webhooks';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import { runScript } from '@warmwind/shared/runtime/node/script';
import type { Job } from 'bullmq';
import type { Redis } from 'ioredis';

/** How a try ended, or why there was none. */
export type TryOutcome = {
  state: 'pending' | 'delivered' | 'failed';
  /** False when nothing was sent. */
  tried: boolean;
  /** The receiver's, '' when it is not known. */
  host: string;
  /** Of the answer. */
  status?: number | undefined;
  reason?: string | undefined;
  /** When it is tried again, ms. */
  nextAt?: number | undefined;
};

/** Records how the webhooks of users are delivered, for their owners. Alerts of operators are not recorded. */
export class DeliveryRecords {
  readonly #redis: Redis;
  readonly #log: Logger;

  constructor(redis: Redis, log: Logger) {
    this.#redis = redis;
    this.#log = log;
  }

  /**
   * Records a delivery as pending, unless it has ended.
   * @returns whether it is to be sent, and the URL of a test
   */
  async begin(job: Job, data: WebhookData): Promise<{ verdict: 'send' | 'drop' | 'done'; testUrl: string }> {
    if (data.about === 'alert') return { verdict: 'send', testUrl: '' };
    const args = {
      id: webhookId(data),
      jobId: data.about === 'test' ? '' : data.jobId,
      about: data.about,
      data: JSON.stringify({ ...data, resends: undefined }),
      createdAt: job.timestamp,
      resends: data.resends ?? 0,
    };
    const [verdict, testUrl] = await runScript(this.#redis, beginDelivery, subjectOf(data), args);
    if (verdict === 'send') return { verdict, testUrl };
    return { verdict: verdict === 'delivered' ? 'done' : 'drop', testUrl: '' };
  }

  /** Records the outcome of a try. The webhook itself does not depend on it. */
  async settle(data: WebhookData, { tried, ...outcome }: TryOutcome): Promise<void> {
    if (data.about === 'alert') return;
    const args = { resends: data.resends ?? 0, tried: tried ? ('1' as const) : ('' as const), ...outcome };
    await runScript(this.#redis, settleDelivery, subjectOf(data), args).catch((error: unknown) => {
      this.#log.warn({ err: error, webhookId: webhookId(data) }, 'webhook outcome not recorded');
    });
  }
}

const subjectOf = (data: WebhookData) => ({ userId: data.userId, id: webhookId(data) });
