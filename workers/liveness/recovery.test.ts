import { newId } from '@warmwind/shared/contract/ids';
import { keys } from '@warmwind/shared/engine/keys';
import { createLog } from '@warmwind/shared/runtime/node/log';
import { connectFailFast, disconnect } from '@warmwind/shared/runtime/node/redis';
import { runScript } from '@warmwind/shared/runtime/node/script';
import { Queue, Worker } from 'bullmq';
import type { Redis } from 'ioredis';
import { Registry } from 'prom-client';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { startRedis, type TestRedis } from '../../infra/quality/testing/redis.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { createMetrics } from '../metrics.ts';
import { declareDead, endRecovery, keepRecovery, revive } from './liveness.lua.ts';
import { QueueWorker } from './queue-worker.ts';
import { Recovery } from './recovery.ts';

const QUEUE = 'ai-readings';
const MAX_DEATHS = 5;
const log = createLog('test');
log.level = 'silent';
let redis: TestRedis;
let connection: Redis;
const queues = new Map<string, Queue>();
const closing: Worker[] = [];

beforeAll(async () => {
  redis = await startRedis();
  connection = connectFailFast(redis.url, 'test', log);
  await waitFor('the connection', () => connection.status === 'ready');
});
beforeEach(() => redis.client.flushall());
afterEach(async () => {
  await Promise.all(closing.splice(0).map((worker) => worker.close(true)));
});
afterAll(async () => {
  await Promise.all([...queues.values()].map((queue) => queue.close()));
  await disconnect(connection);
  await redis.stop();
});

function queue(name = QUEUE): Queue {
  const known = queues.get(name);
  const made = known ?? new Queue(name, { connection: redis.client, prefix: keys.bullmqPrefix(name) });
  queues.set(name, made);
  return made;
}

const options = (name: string) => ({
  connection: redis.client,
  prefix: keys.bullmqPrefix(name),
  autorun: false,
});

/** Takes the next job of a queue as a process with this boot id does, and does not even claim it. */
async function take(boot: string, name = QUEUE) {
  const worker = new QueueWorker(boot, name, async () => {}, options(name));
  closing.push(worker);
  const job = await worker.getNextJob(`${worker.id}:0`, { block: false });
  if (!job) throw new Error('no job waits');
  return job;
}

/** Records a process whose last beat is overdue. */
async function overdue(
  boot: string,
  served: Record<string, number> = { [QUEUE]: MAX_DEATHS },
): Promise<void> {
  const [seconds] = await redis.client.time();
  await redis.client.zadd(keys.processBeats(), Number(seconds) * 1000 - 1, boot);
  await redis.client.hset(keys.processRecords(), boot, JSON.stringify({ host: 'a', queues: served }));
}

function peer() {
  const metrics = createMetrics(new Registry(), async () => {});
  const recovery = new Recovery({ redis: connection, stalledEveryMs: 5000, metrics, log });
  const count = async (metric: 'workerDeaths' | 'jobsMoved') =>
    (await metrics[metric].get()).values.reduce((sum, { value }) => sum + value, 0);
  return { recover: (...boots: string[]) => recovery.recover(boots), count };
}

const states = async (name = QUEUE) => {
  const { active, waiting, prioritized, failed } = await queue(name).getJobCounts();
  return { active, waiting: (waiting ?? 0) + (prioritized ?? 0), failed };
};

test('a dead process’s jobs wait before all others without an attempt spent, those of a living one run on', async () => {
  const [dead, living] = [newId(), newId()];
  const ids = ['first', 'second', 'third', 'fourth'];
  await queue().addBulk(ids.map((id) => ({ name: 'x', data: {}, opts: { jobId: id } })));
  await take(dead);
  await take(living);
  await take(dead);
  await overdue(dead);
  const { recover, count } = peer();
  await recover(dead);
  expect(await states()).toEqual({ active: 1, waiting: 3, failed: 0 });
  expect((await queue().getActive()).map(({ id }) => id)).toEqual(['second']);
  const moved = [await take('x1'), await take('x2')];
  expect(moved.map(({ id }) => id).sort()).toEqual(['first', 'third']);
  expect(moved.map(({ attemptsMade }) => attemptsMade)).toEqual([0, 0]);
  expect([await count('workerDeaths'), await count('jobsMoved')]).toEqual([1, 2]);
});

test('two peers that see a death at once move each job once and count one death', async () => {
  const dead = newId();
  await queue().addBulk(Array.from({ length: 20 }, () => ({ name: 'x', data: {} })));
  for (let i = 0; i < 20; i++) await take(dead);
  await overdue(dead);
  const peers = [peer(), peer(), peer()];
  await Promise.all(peers.map(({ recover }) => recover(dead)));
  expect(await states()).toEqual({ active: 0, waiting: 20, failed: 0 });
  const sum = async (metric: 'workerDeaths' | 'jobsMoved') =>
    (await Promise.all(peers.map(({ count }) => count(metric)))).reduce((a, b) => a + b, 0);
  expect([await sum('workerDeaths'), await sum('jobsMoved')]).toEqual([1, 20]);
  expect(await redis.client.zcard(keys.processBeats())).toBe(0);
  expect(await redis.client.hlen(keys.processRecords())).toBe(0);
});

test('a recovery ends its steps when its claim has passed to a peer, or the process takes part again', async () => {
  const boot = newId();
  const declare = (claim: string) =>
    runScript(connection, declareDead, boot, { boot, claim, claimMs: 60_000, keptMs: 60_000 });
  const keeps = (claim: string) =>
    runScript(connection, keepRecovery, boot, { boot, claim, claimMs: 60_000 });
  await overdue(boot);
  expect((await declare('first'))[0]).toBe('claimed');
  expect([await keeps('first'), await keeps('second')]).toEqual([1, 0]);
  expect(await runScript(connection, revive, boot, { boot })).toBe(0);

  await redis.client.del(keys.processRecovery(boot));
  expect((await declare('second'))[0]).toBe('claimed');
  expect([await keeps('first'), await keeps('second')]).toEqual([0, 1]);
  expect(await runScript(connection, endRecovery, boot, { boot, claim: 'first' })).toBe(0);
  expect(await redis.client.hlen(keys.processRecords())).toBe(1);

  await redis.client.del(keys.processRecovery(boot));
  expect(await runScript(connection, revive, boot, { boot })).toBe(1);
  await redis.client.set(keys.processRecovery(boot), 'second');
  expect(await keeps('second')).toBe(0);
});

test('a peer that died during the recovery is followed by the next one', async () => {
  const dead = newId();
  await queue().add('x', {});
  await take(dead);
  await overdue(dead);
  await redis.client.set(keys.processRecovery(dead), '1', 'PX', 300);
  const { recover } = peer();
  await recover(dead);
  expect(await states()).toMatchObject({ active: 1 });
  await waitFor('the claim of the first to expire', async () => {
    await recover(dead);
    return (await states()).waiting === 1;
  });
});

test('a process that beats again before its recovery keeps its jobs and leases', async () => {
  const boot = newId();
  await queue().add('x', {});
  await take(boot);
  await overdue(boot);
  await redis.client.set(keys.hostLease('a'), boot);
  await redis.client.zadd(keys.processBeats(), Date.now() + 60_000, boot);
  await peer().recover(boot);
  expect(await states()).toMatchObject({ active: 1 });
  expect(await redis.client.get(keys.hostLease('a'))).toBe(boot);
  expect(await redis.client.zcard(keys.deadProcesses())).toBe(0);
});

test('only the leases that a dead process holds are released', async () => {
  const dead = newId();
  await overdue(dead);
  await redis.client.mset(keys.hostLease('a'), dead, keys.observerLease(), dead, keys.ledgerLease(), 'other');
  await peer().recover(dead);
  const held = await redis.client.mget(keys.hostLease('a'), keys.observerLease(), keys.ledgerLease());
  expect(held).toEqual([null, null, 'other']);
});

test('a lock of a worker of an earlier release is left to BullMQ', async () => {
  const dead = newId();
  await queue().add('x', {});
  const worker = new Worker(QUEUE, async () => {}, options(QUEUE));
  closing.push(worker);
  await worker.getNextJob(`${worker.id}:0`, { block: false });
  await overdue(dead);
  await peer().recover(dead);
  expect(await states()).toMatchObject({ active: 1 });
});

test('a job under which too many processes died is failed, a repeated one and a webhook are not', async () => {
  const served = { [QUEUE]: MAX_DEATHS, cleanup: MAX_DEATHS, webhooks: 1000 };
  const names = Object.keys(served);
  await queue().add('poison', {}, { attempts: 3 });
  await queue('webhooks').add('hook', {});
  await queue('cleanup').upsertJobScheduler('sweep', { every: 3_600_000 }, { name: 'sweep' });
  const { recover } = peer();
  for (let death = 1; death <= MAX_DEATHS + 1; death++) {
    const dead = newId();
    const jobs = await Promise.all(names.map((name) => take(dead, name)));
    expect(jobs.map(({ deferredFailure }) => deferredFailure)).toEqual([undefined, undefined, undefined]);
    await overdue(dead, served);
    await recover(dead);
  }
  const [poison, sweep, hook] = await Promise.all(names.map((name) => take('last', name)));
  expect(poison?.deferredFailure).toBe('job stalled more than allowable limit');
  expect([sweep?.deferredFailure, hook?.deferredFailure]).toEqual([undefined, undefined]);
});
