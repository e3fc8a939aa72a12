import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { startRedis, type TestRedis } from '../../../infra/quality/testing/redis.ts';
import { waitFor } from '../../../infra/quality/testing/wait.ts';
import { keys, ROOM_CHANNEL } from '../keys.ts';
import { TURN_MS, type WaitingStart, WaitingStarts } from './waiting-starts.ts';

let redis: TestRedis;
let waiting: WaitingStarts;
beforeAll(async () => {
  redis = await startRedis();
  waiting = new WaitingStarts(redis.client);
});
beforeEach(() => redis.client.flushall());
afterAll(() => redis.stop());

const start = (userId: string, jobId: string, queuedAt: number): WaitingStart => ({
  userId,
  jobId,
  run: 1,
  vector: { memoryMb: 512, cpus: 0.1, diskMb: 0, gpus: 0, containers: 1 },
  image: 'desk:1',
  reason: 'memory',
  queuedAt,
  seenAt: queuedAt,
});
const order = async () => (await waiting.list()).map(({ jobId }) => jobId);

test('starts wait in the order in which they were queued, and one user’s many go behind another’s first', async () => {
  const at = 1_790_000_000_000;
  for (const n of [1, 2, 3]) await waiting.add(start('ada', `a${n}`, at + n));
  await waiting.add(start('bob', 'b1', at + 10_000));
  await waiting.add(start('bob', 'b2', at + 10_001));
  expect(await order()).toEqual(['a1', 'b1', 'a2', 'b2', 'a3']);
  // No user's start is kept behind others for ever: its turn has a time.
  await waiting.add(start('eve', 'e1', at + 2 * TURN_MS + 4));
  expect((await order()).at(-1)).toBe('e1');
  // Added again, it keeps its turn and takes the new reason.
  await waiting.add({ ...start('ada', 'a1', at + 99_000), reason: 'cpus' });
  expect((await waiting.list())[0]).toMatchObject({ jobId: 'a1', reason: 'cpus', turnAt: at + 1 });
});

test('details change only of a start that waits, and one that leaves is published', async () => {
  const a = start('ada', 'a1', 1000);
  await waiting.change(a, { reason: 'gpus' });
  expect(await waiting.list()).toEqual([]);
  await waiting.add(a);
  await waiting.change(a, { holdsSince: 5000 });
  expect(await waiting.list()).toMatchObject([{ ...a, holdsSince: 5000 }]);

  const published: string[] = [];
  const subscriber = redis.client.duplicate();
  subscriber.on('message', (_channel, text) => published.push(text));
  await subscriber.subscribe(ROOM_CHANNEL);
  await waiting.remove([WaitingStarts.memberOf(a), 'unknown']);
  await waitFor('the message', () => published.length === 1);
  expect(published).toEqual(['']);
  subscriber.disconnect();
  expect(await redis.client.exists(keys.waitingStarts(), keys.waitingStartDetails())).toBe(0);
});

test('a member without readable details does not stop the others', async () => {
  await redis.client.zadd(keys.waitingStarts(), 1, 'lost', 2, 'odd');
  await redis.client.hset(keys.waitingStartDetails(), 'odd', '{}');
  await waiting.add(start('ada', 'a1', 1000));
  expect(await order()).toEqual(['a1']);
  expect(await redis.client.zrange(keys.waitingStarts(), '0', '-1')).toEqual(['odd', 'ada/a1']);
});
