import { type JobsOptions, Queue, QueueEvents, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startCounter } from '../../infra/local/edge/counter.ts';
import { startGateway, type TestGateway, TOKEN } from '../../infra/local/gateway/testing.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { createRestClient } from './client.ts';
import { QueueUnavailableError, RestTransport } from './transport.ts';

let gateway: TestGateway;
let counter: Awaited<ReturnType<typeof startCounter>>;
let queue: Queue;
/** BullMQ's own client of the same queue, to compare with. */
let stock: Queue;
const open: { close: () => Promise<unknown> }[] = [];

const overRest = (options: { token?: string; timeoutMs?: number } = {}) =>
  new Queue('q', {
    connection: createRestClient({ url: counter.url, token: TOKEN, timeoutMs: 5000, ...options }),
    prefix: 'ww:{q}',
    skipMetasUpdate: true,
  });
const connection = () => new Redis(gateway.redis.url, { maxRetriesPerRequest: null });

beforeAll(async () => {
  gateway = await startGateway();
  counter = await startCounter(gateway.url);
});
afterAll(async () => {
  await counter?.stop();
  await gateway?.stop();
});
beforeEach(async () => {
  await gateway.redis.client.flushall();
  queue = overRest();
  stock = new Queue('q', { connection: connection(), prefix: 'ww:{q}' });
  open.push(queue, stock);
});
afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one.close()));
});

/**
 * Starts a stock worker on TCP.
 * @returns the jobs that it has processed
 */
function work(): { name: string; data: unknown; id: string | undefined }[] {
  const done: { name: string; data: unknown; id: string | undefined }[] = [];
  const worker = new Worker(
    'q',
    async ({ name, data, id }) => {
      done.push({ name, data, id });
      return { saw: id };
    },
    { connection: connection(), prefix: 'ww:{q}' },
  );
  open.push(worker);
  return done;
}

describe('the stock Queue over REST', () => {
  test('a stock worker consumes the added jobs with unchanged data', async () => {
    const data = {
      text: 'żółć 漢字 🖥️ \u0000 \r\n "\\',
      list: [1, null, { deep: true }],
      big: 'x'.repeat(50_000),
    };
    const done = work();
    const job = await queue.add('start', data, { jobId: 'j1' });
    await waitFor('the worker to have it', () => done.length === 1);
    expect(done).toEqual([{ name: 'start', data, id: 'j1' }]);
    await waitFor('it to be completed', async () => (await job.getState()) === 'completed');
    expect((await queue.getJob('j1'))?.returnvalue).toEqual({ saw: 'j1' });
  });

  test('each operation is one trip once the scripts are known', async () => {
    await queue.add('warm', {}, { jobId: 'warm' });
    const job = await queue.getJob('warm');
    await job?.getState();
    await queue.getJobCounts();
    await job?.remove();
    const trips = async (operation: () => Promise<unknown>) => {
      counter.take();
      await operation();
      return counter.take();
    };
    expect(await trips(() => queue.add('one', {}, { jobId: 'one' }))).toBe(1);
    expect(await trips(() => queue.addBulk([1, 2, 3].map((n) => ({ name: 'bulk', data: { n } }))))).toBe(1);
    expect(await trips(() => queue.getJob('one'))).toBe(1);
    expect(await trips(() => queue.getJobState('one'))).toBe(1);
    expect(await trips(() => queue.getJobCounts())).toBe(1);
    expect(await trips(() => queue.remove('one'))).toBe(1);
  });

  const options: [string, JobsOptions, string][] = [
    ['none', {}, 'wait'],
    ['lifo', { lifo: true }, 'wait'],
    ['delay', { delay: 60_000 }, 'delayed'],
    ['priority', { priority: 5 }, 'prioritized'],
    [
      'attempts and backoff',
      { attempts: 3, backoff: { type: 'exponential', delay: 2000, jitter: 0.25 } },
      'wait',
    ],
    ['removal', { removeOnComplete: { age: 3600, count: 1000 }, removeOnFail: true, keepLogs: 5 }, 'wait'],
    ['limits', { sizeLimit: 100, stackTraceLimit: 2, timestamp: 1_700_000_000_000 }, 'wait'],
    ['deduplication', { deduplication: { id: 'd', ttl: 5000 } }, 'wait'],
  ];
  test.each(options)('an option has the same effect as over TCP: %s', async (_name, option, list) => {
    const timestamp = { timestamp: 1_700_000_000_000 };
    await queue.add('n', { a: 1 }, { ...timestamp, ...option, jobId: 'same' });
    const read = async () => {
      const { client } = gateway.redis;
      const record = await client.hgetall('ww:{q}:q:same');
      const members =
        list === 'wait'
          ? await client.lrange('ww:{q}:q:wait', 0, -1)
          : await client.zrange(`ww:{q}:q:${list}`, '0', '-1');
      return { record, members };
    };
    const overHttp = await read();
    await gateway.redis.client.flushall();
    await stock.add('n', { a: 1 }, { ...timestamp, ...option, jobId: 'same' });
    expect(overHttp).toEqual(await read());
    expect(overHttp.members).toEqual(['same']);
  });

  test('a child keeps its parent waiting until it is done', async () => {
    const parent = await stock.add('parent', {}, { jobId: 'parent', delay: 60_000 });
    await queue.add(
      'child',
      {},
      { jobId: 'child', parent: { id: 'parent', queue: parent.queueQualifiedName } },
    );
    const { unprocessed } = await parent.getDependencies();
    expect(unprocessed).toEqual([expect.stringContaining(':child')]);
  });

  test('a repeated job id is one job', async () => {
    const added = Array.from({ length: 20 }, () => queue.add('once', {}, { jobId: 'once' }));
    await Promise.all(added);
    expect(await queue.getJobCounts()).toMatchObject({ waiting: 1 });
  });

  test('deduplication, counts, states and removal work', async () => {
    const first = await queue.add('d', {}, { deduplication: { id: 'd' } });
    const second = await queue.add('d', {}, { deduplication: { id: 'd' } });
    expect(second.id).toBe(first.id);
    const later = await queue.add('later', {}, { delay: 60_000 });
    const prior = await queue.add('prior', {}, { priority: 2 });
    expect(await queue.getJobCounts()).toMatchObject({ waiting: 1, delayed: 1, prioritized: 1 });
    expect([await later.getState(), await prior.getState()]).toEqual(['delayed', 'prioritized']);
    await prior.remove();
    expect(await queue.getJob(prior.id ?? '')).toBeUndefined();
    expect(await prior.getState()).toBe('unknown');
  });

  test('an event of an added job reaches a listener over TCP', async () => {
    const events = new QueueEvents('q', { connection: connection(), prefix: 'ww:{q}' });
    open.push(events);
    await events.waitUntilReady();
    const added = new Promise((resolve) => events.once('added', resolve));
    await queue.add('n', {}, { jobId: 'seen' });
    expect(await added).toMatchObject({ jobId: 'seen' });
  });

  test('scripts are sent again to a Redis that has lost them', async () => {
    await queue.add('n', {}, { jobId: 'one' });
    await gateway.redis.client.script('FLUSH');
    await queue.add('n', {}, { jobId: 'two' });
    expect(await queue.getJobCounts()).toMatchObject({ waiting: 2 });
  });
});

describe('a queue that can not be reached', () => {
  test('rejects within its bound while Redis is frozen, and recovers automatically', async () => {
    const prompt = overRest({ timeoutMs: 200 });
    open.push(prompt);
    await prompt.add('n', {}, { jobId: 'before' });
    gateway.redis.freeze();
    try {
      await expect(prompt.add('n', {}, { jobId: 'frozen' })).rejects.toThrow(QueueUnavailableError);
    } finally {
      gateway.redis.thaw();
    }
    await waitFor('an add to succeed', () =>
      prompt.add('n', {}, { jobId: 'after' }).then(
        () => true,
        () => false,
      ),
    );
  });

  test.each(['wrong', ''])('refuses the token %j without repeating it', async (token) => {
    const stranger = overRest({ token });
    open.push(stranger);
    const refused = await stranger.add('n', {}).catch((error: Error) => error);
    expect(refused).toBeInstanceOf(QueueUnavailableError);
    expect(String(refused)).toBe('QueueUnavailableError: the queue refused our token');
    expect(await stock.getJobCounts()).toMatchObject({ waiting: 0 });
  });

  test('reports that the queue can not be reached when nothing listens', async () => {
    const nowhere = new RestTransport({ url: 'http://127.0.0.1:1', token: TOKEN, timeoutMs: 1000 });
    await expect(nowhere.command(['PING'])).rejects.toThrow('can not be reached');
  });

  test('can not block or stream', () => {
    const client = createRestClient({ url: counter.url, token: TOKEN, timeoutMs: 1000 });
    expect(() => client.bzpopmin('k', 1)).toThrow('only produces');
    expect(() => client.duplicate()).toThrow('only produces');
  });
});
