import type { PageOf } from '@warmwind/shared/contract/answers';
import { ApiError } from '@warmwind/shared/contract/errors';
import { newId } from '@warmwind/shared/contract/ids';
import { deliveryFromRecord, type WebhookDelivery } from '@warmwind/shared/contract/webhook-deliveries';
import { keys } from '@warmwind/shared/engine/keys';
import {
  beginDelivery,
  cancelDelivery,
  recordTest,
  restartDelivery,
} from '@warmwind/shared/engine/scripts/webhook.lua';
import {
  isWebhookId,
  WEBHOOK_DATA_VERSION,
  WebhookData,
  webhookId,
  webhookOptions,
} from '@warmwind/shared/engine/webhooks';
import { parseJson } from '@warmwind/shared/runtime/json';
import { notFound } from '../http/errors.ts';
import { writeCursor } from '../lists/cursor.ts';
import type { PageRequest } from '../lists/query.ts';
import { createRecordPages, type FieldFilters } from '../lists/records.ts';
import type { Queues } from '../queue/queues.ts';
import { orUnavailable, readRecord } from '../redis/record.ts';
import { type PreparedScript, prepareScript } from '../redis/redis.ts';
import type { Services } from '../services.ts';

type Redis = Services['redis'];

/**
 * The webhooks of users. Workers send them and record how that goes; here they are read, and queued once more. What is
 * queued but not recorded yet, because a request ended in between, is recorded by the worker that takes it.
 */
export class WebhookDeliveries {
  readonly #redis: Redis;
  readonly #queues: Queues;
  readonly #page: ReturnType<typeof createRecordPages>;
  readonly #begin: PreparedScript<typeof beginDelivery>;
  readonly #restart: PreparedScript<typeof restartDelivery>;
  readonly #cancel: PreparedScript<typeof cancelDelivery>;
  readonly #recordTest: PreparedScript<typeof recordTest>;

  constructor(redis: Redis, queues: Queues) {
    this.#redis = redis;
    this.#queues = queues;
    this.#page = createRecordPages(redis);
    this.#begin = prepareScript(redis, beginDelivery);
    this.#restart = prepareScript(redis, restartDelivery);
    this.#cancel = prepareScript(redis, cancelDelivery);
    this.#recordTest = prepareScript(redis, recordTest);
  }

  /** Lists the webhooks of a user, newest first: a page may be short and still have a successor. */
  async list(userId: string, request: PageRequest, fields: FieldFilters): Promise<PageOf<WebhookDelivery>> {
    const place = { index: keys.webhookDeliveries(userId), prefix: keys.webhookDelivery(userId, '') };
    const page = await orUnavailable(this.#page(place, request, { fields, labels: {} }));
    return {
      items: page.items.flatMap((record) => deliveryFromRecord(record) ?? []),
      nextCursor: page.horizon ? writeCursor(page.horizon) : null,
    };
  }

  /** @throws ApiError `not_found` */
  async get(userId: string, id: string): Promise<WebhookDelivery> {
    const delivery = deliveryFromRecord(await this.#record(userId, id));
    if (!delivery) throw notFound('webhook');
    return delivery;
  }

  /**
   * Sends an ended webhook again: the same event under the same id. Requests at once send it once.
   * @throws ApiError `not_found`, or `conflict` while it is pending
   */
  async resend(userId: string, id: string): Promise<void> {
    const { data, state, resends = '0' } = await this.#record(userId, id);
    if (data === undefined) throw notFound('webhook');
    if (state === 'pending') throw conflict('The webhook is pending: it is sent without a request.');
    await this.#enqueue({ ...parseJson(WebhookData, data), resends: Number(resends) + 1 });
    await orUnavailable(this.#restart({ userId, id }, { id, resends: Number(resends) }));
  }

  /**
   * Cancels a pending webhook. A try that is on its way may still arrive.
   * @throws ApiError `not_found`, or `conflict` when it has ended otherwise
   */
  async cancel(userId: string, id: string): Promise<WebhookDelivery> {
    if (!isWebhookId(id)) throw notFound('webhook');
    const state = await orUnavailable(this.#cancel({ userId, id }, {}));
    if (state === '') throw notFound('webhook');
    if (state !== 'pending' && state !== 'cancelled') {
      throw conflict(`The webhook is ${state}: only a pending one can be cancelled.`);
    }
    return this.get(userId, id);
  }

  /**
   * Sends a test to an address, once.
   * @returns its id
   */
  async test(userId: string, url: string): Promise<string> {
    const data = {
      version: WEBHOOK_DATA_VERSION,
      about: 'test',
      userId,
      testId: newId(),
      at: Date.now(),
    } as const;
    const id = webhookId(data);
    const text = JSON.stringify(data);
    const recorded = { id, url, host: new URL(url).host, data: text };
    const createdAt = Number(await orUnavailable(this.#recordTest({ userId, id }, recorded)));
    await this.#enqueue(data);
    const begun = { id, jobId: '', about: data.about, data: text, createdAt, resends: 0 };
    await orUnavailable(this.#begin({ userId, id }, begun));
    return id;
  }

  async #enqueue(data: WebhookData): Promise<void> {
    const queue = this.#queues.get('webhooks');
    await orUnavailable(queue.add(data.about, data, webhookOptions(data)));
  }

  /** The record of a webhook; empty when there is none. */
  async #record(userId: string, id: string): Promise<Record<string, string>> {
    if (!isWebhookId(id)) throw notFound('webhook');
    return readRecord(this.#redis, keys.webhookDelivery(userId, id));
  }
}

const conflict = (message: string): ApiError => new ApiError('conflict', message);
