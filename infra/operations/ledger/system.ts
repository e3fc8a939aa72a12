import { keys } from '@warmwind/shared/engine/keys';
import { Ledger } from '@warmwind/shared/engine/node/ledger';
import { Publisher } from '@warmwind/shared/engine/node/publisher';
import { Records } from '@warmwind/shared/engine/node/records';
import { createLog, type Logger } from '@warmwind/shared/runtime/node/log';
import { connectFailFast, disconnect } from '@warmwind/shared/runtime/node/redis';
import { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import { findServers } from './servers.ts';

const CONNECTED_WITHIN_MS = 5000;
const ANSWERED_WITHIN_MS = 10_000;

/** The stores and queues of a command. Services may run meanwhile. */
export type System = {
  redis: { queue: Redis; realtime: Redis };
  ledger: Ledger;
  records: Records;
  /** A queue by its name. */
  queue: (name: string) => Queue;
  /** Silent: the operator reads the output of the command itself. */
  log: Logger;
};

/**
 * Connects to the servers of the system for as long as `work` takes.
 * @throws Error when one of them does not answer
 */
export async function withSystem<T>(name: string, work: (system: System) => Promise<T>): Promise<T> {
  const urls = findServers(['ledger', 'queue', 'realtime']);
  const log = createLog(name);
  log.level = 'silent';
  const open = (url: string): Redis =>
    connectFailFast(url, name, log, ANSWERED_WITHIN_MS, {
      lazyConnect: true,
      connectTimeout: CONNECTED_WITHIN_MS,
      retryStrategy: () => null,
    });
  const redis = { queue: open(urls.queue), realtime: open(urls.realtime) };
  const ledger = new Ledger(urls.ledger, name, log, ANSWERED_WITHIN_MS);
  const publisher = new Publisher(redis.realtime, log);
  const records = new Records(redis.queue, publisher, ledger);
  const queues = new Map<string, Queue>();
  const queue = (queueName: string): Queue => {
    const known = queues.get(queueName);
    if (known) return known;
    const made = new Queue(queueName, {
      connection: redis.queue,
      prefix: keys.bullmqPrefix(queueName),
      // Errors of a queue are reported by its services.
      skipMetasUpdate: true,
    });
    made.on('error', () => undefined);
    queues.set(queueName, made);
    return made;
  };
  try {
    await Promise.all([connected(redis.queue, 'queue'), connected(redis.realtime, 'realtime')]);
    return await work({ redis, ledger, records, queue, log });
  } finally {
    publisher.close();
    await Promise.all([...queues.values()].map((made) => made.close().catch(() => undefined)));
    await Promise.all([disconnect(redis.queue), disconnect(redis.realtime), ledger.close()]);
  }
}

async function connected(redis: Redis, role: string): Promise<void> {
  await redis.connect().catch((error: Error) => {
    throw new Error(`The ${role} Redis does not answer: ${error.message}`);
  });
}
