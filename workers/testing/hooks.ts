import { newId } from '@warmwind/shared/contract/ids';
import { keys } from '@warmwind/shared/engine/keys';
import { Publisher } from '@warmwind/shared/engine/node/publisher';
import { type JobEnd, type JobRef, Records } from '@warmwind/shared/engine/node/records';
import { createLog } from '@warmwind/shared/runtime/node/log';
import { connectQueueing, disconnect } from '@warmwind/shared/runtime/node/redis';
import { Queue } from 'bullmq';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { startRedis } from '../../infra/quality/testing/redis.ts';
import { createMetrics } from '../metrics.ts';
import { Delivery, type DeliveryOptions } from '../webhooks/delivery.ts';
import { createNotify } from '../webhooks/notify.ts';

export const WEBHOOK_SECRET = 'signs-webhooks-of-tests-0123456789';

/** Starts records, the queue of webhooks and their delivery on a separate Redis. Log lines are collected. */
export async function createHooks() {
  const redis = await startRedis();
  const silent = createLog('test');
  silent.level = 'silent';
  const lines: string[] = [];
  const log = pino({}, { write: (line: string) => void lines.push(line) });
  const connection = connectQueueing(redis.url, 'test', silent);
  const queue = new Queue('webhooks', { connection, prefix: keys.bullmqPrefix('webhooks') });
  const publisher = new Publisher(connection, silent);
  const recordsOf = (alerts: boolean) =>
    new Records(
      connection,
      publisher,
      undefined,
      createNotify(() => queue, alerts),
    );
  const deliveries = new Set<Delivery>();

  return {
    redis,
    queue,
    lines,
    records: recordsOf(false),
    /** The records of a fleet with alerts for operators. */
    alerting: recordsOf(true),

    /** Creates a queued job; `webhookUrl` as the edge writes it. */
    job: async (webhookUrl: string, userId = `u-${newId().slice(0, 8)}`): Promise<JobRef> => {
      const ref: JobRef = { userId, jobId: newId(), run: 1, kind: 'inference', containerId: '' };
      const now = Date.now();
      await redis.client.hset(keys.job(userId, ref.jobId), {
        id: ref.jobId,
        kind: ref.kind,
        state: 'queued',
        run: 1,
        fence: 0,
        createdAt: now,
        attemptsMade: 0,
        webhookUrl,
      });
      return ref;
    },
    /** Claims a job and ends it. */
    run: async (records: Records, ref: JobRef, end: JobEnd): Promise<void> => {
      const claim = await records.jobs.claim(ref, 0);
      if (claim.verdict === 'ok') await records.jobs.end(ref, end, claim.fence, 1);
    },
    deliver: (options: Partial<DeliveryOptions> = {}): Delivery => {
      const delivery = new Delivery({
        boot: newId(),
        redis: connection,
        records: recordsOf(true),
        metrics: createMetrics(new Registry(), async () => {}),
        log,
        secret: WEBHOOK_SECRET,
        allow: ['127.0.0.1/32'],
        alertUrl: undefined,
        firstPauseMs: 50,
        ...options,
      });
      deliveries.add(delivery);
      delivery.start();
      return delivery;
    },
    rest: async () => {
      await Promise.all([...deliveries].map((delivery) => delivery.close()));
      deliveries.clear();
    },
    stop: async () => {
      await Promise.all([...deliveries].map((delivery) => delivery.close()));
      publisher.close();
      await queue.close();
      await disconnect(connection);
      await redis.stop();
    },
  };
}
export type Hooks = Awaited<ReturnType<typeof createHooks>>;
