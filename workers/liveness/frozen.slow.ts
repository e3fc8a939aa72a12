import { keys } from '@warmwind/shared/engine/keys';
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest';
import { startRedisProxy } from '../../infra/quality/testing/redis-proxy.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { createLine, type Line } from '../testing/line.ts';
import { Peers } from '../testing/peer.ts';

const QUEUE = 'ai-inference';

let line: Line;
let peers: Peers;
beforeEach(async () => {
  line = await createLine(['--appendonly', 'yes', '--appendfsync', 'always']);
  peers = new Peers(line);
});
afterEach(async () => {
  await peers.kill();
  await line.stop();
});

/** The processes that peers hold for dead. */
const deadProcesses = () => line.queueRedis.client.zcard(keys.deadProcesses());
const beating = () => line.queueRedis.client.zcard(keys.processBeats());

test('SIGSTOP: peers run its jobs; when it thaws, it drops jobs and leases, and then takes part again', async () => {
  const first = peers.start('a', QUEUE);
  await first.when('leads');
  const job = await line.infer();
  await first.when('begins', job.jobId);
  const second = peers.start('b', QUEUE);
  await peers.all('watches');

  first.signal('SIGSTOP');
  await second.when('begins', job.jobId, 10_000);
  await second.when('leads', '', 10_000);
  expect(first.count('stops', job.jobId)).toBe(0);
  first.signal('SIGCONT');
  await first.when('stops', job.jobId, 10_000);
  await first.when('holds no more', '', 10_000);
  await first.when('leads no more', '', 10_000);
  // The job runs on at the peer, and the thawed process is a peer itself.
  await waitFor('it to hold its name again', () => first.count('holds') === 2, 10_000);
  await waitFor('it to beat again', async () => (await beating()) === 2 && (await deadProcesses()) === 0);
  expect(second.count('stops', job.jobId)).toBe(0);
  expect(await line.job(job)).toMatchObject({ state: 'active', attemptsMade: 0 });
  await second.kill();
  await waitFor('it to run the job', () => first.count('begins', job.jobId) === 2, 20_000);
}, 60_000);

test('a main thread that is blocked is no death', async () => {
  const first = peers.start('a', QUEUE);
  const job = await line.infer();
  await first.when('begins', job.jobId);
  const second = peers.start('b', QUEUE);
  await peers.all('watches');
  first.block(4000);
  await first.when('blocked', '', 20_000);
  expect(await deadProcesses()).toBe(0);
  expect(second.count('begins', job.jobId)).toBe(0);
}, 60_000);

test('a queue Redis that was frozen, restarted or wiped proves no death', async () => {
  peers.start('a', QUEUE);
  peers.start('b', QUEUE);
  const job = await line.infer();
  await waitFor('it to run', () => peers.sum('begins', job.jobId) > 0);
  await peers.all('watches');
  const { queueRedis } = line;

  queueRedis.freeze();
  await peers.all('watches no more', 1);
  queueRedis.thaw();
  await peers.all('watches', 2);

  await queueRedis.kill();
  await peers.all('watches no more', 2);
  await queueRedis.restart();
  await peers.all('watches', 3);
  expect(await line.queue(QUEUE).getActiveCount()).toBe(1);

  await queueRedis.client.flushall();
  await peers.all('watches no more', 3);
  await peers.all('watches', 4);
  expect(await beating()).toBe(2);

  expect(await deadProcesses()).toBe(0);
  expect(peers.sum('begins', job.jobId)).toBe(1);
  expect(peers.sum('stops', job.jobId)).toBe(0);
}, 90_000);

test('a connection that falls silent is replaced, and is no death', async () => {
  const proxy = await startRedisProxy(line.queueRedis.port);
  onTestFinished(proxy.stop);
  const usual = { DEAD_AFTER_MS: '1500' };
  const first = peers.start('a', QUEUE, { ...usual, QUEUE_REDIS: proxy.url });
  await first.when('holds');
  peers.start('b', QUEUE, usual);
  await peers.all('watches');
  await proxy.stallAt(keys.processBeats(), 'before').reached;
  await waitFor('it to notice', () => peers.sum('watches no more', '') === 1, 20_000);
  await waitFor('it to watch again', () => peers.sum('watches', '') === 3, 20_000);
  expect([await beating(), await deadProcesses()]).toEqual([2, 0]);
  expect(first.count('holds no more')).toBe(0);
}, 60_000);

test('a process that is cut off from Redis drops its jobs and leases once it is back', async () => {
  const proxy = await startRedisProxy(line.queueRedis.port);
  onTestFinished(() => proxy.stop());
  const first = peers.start('a', QUEUE, { QUEUE_REDIS: proxy.url });
  await first.when('leads');
  const job = await line.infer();
  await first.when('begins', job.jobId);
  const second = peers.start('b', QUEUE);
  await peers.all('watches');
  proxy.interrupt();
  await second.when('begins', job.jobId, 20_000);
  await second.when('leads', '', 20_000);
  expect(first.count('holds no more')).toBe(0);
  proxy.resume();
  await first.when('stops', job.jobId, 20_000);
  await first.when('holds no more', '', 20_000);
  await waitFor('it to take part again', () => first.count('holds') === 2, 20_000);
  expect(second.count('stops', job.jobId)).toBe(0);
  expect(await line.job(job)).toMatchObject({ state: 'active', attemptsMade: 0 });
}, 60_000);
