import { afterEach, beforeEach, expect, test } from 'vitest';
import { percentsOf, storedEvent } from '../../../infra/quality/testing/events.ts';
import { startRedis, type TestRedis } from '../../../infra/quality/testing/redis.ts';
import { waitFor } from '../../../infra/quality/testing/wait.ts';
import type { StoredEvent } from '../../contract/rooms.ts';
import { createLog } from '../../runtime/node/log.ts';
import { connectQueueing, disconnect } from '../../runtime/node/redis.ts';
import { roomKeys } from '../keys.ts';
import type { Append, Subject } from './event-log.ts';
import { Publisher } from './publisher.ts';

const subject: Subject = { userId: 'ada', room: 'job:j1' };
const log = createLog('publisher-test');
log.level = 'silent';

let redis: TestRedis;
let connection: ReturnType<typeof connectQueueing>;
let publisher: Publisher;
let dropped: number;

beforeEach(async () => {
  redis = await startRedis();
  connection = connectQueueing(redis.url, 'publisher-test', log);
  dropped = 0;
  publisher = new Publisher(connection, log, (events) => (dropped += events), 200);
});
afterEach(async () => {
  publisher.close();
  await disconnect(connection);
  await redis.stop();
});

const event = (percent: number, more = {}): StoredEvent => storedEvent('job.progress', { percent, ...more });
const progress = (seq: number): Append => ({ event: event(seq), seq });
const inLog = async (): Promise<number[]> => {
  const rows = await redis.client.xrange(roomKeys.log('ada', 'job:j1'), '-', '+');
  return rows.map(([, fields]) => percentsOf([JSON.parse(fields[3] ?? '')])[0] ?? 0);
};

test.each<[string, () => Promise<void> | void, () => Promise<void> | void]>([
  ['gone', () => redis.kill(), () => redis.restart()],
  ['silent', () => redis.freeze(), () => redis.thaw()],
])(
  'events that were published while Redis was %s are in the log, once and in order, when it recovers',
  async (_what, fail, recover) => {
    await publisher.publish(subject, [progress(1)], 1);
    await fail();
    const published = [2, 3, 4].map((seq) => publisher.publish(subject, [progress(seq)], 1));
    await Promise.all(published);
    await publisher.publish(subject, [{ event: event(5), token: 'end:1', seq: 1 }], 1);
    await recover();
    await waitFor('the end to be in the log', async () =>
      (await inLog().catch((): number[] => [])).includes(5),
    );
    expect((await inLog()).filter((n) => n > 1)).toEqual([2, 3, 4, 5]);
    expect(dropped).toBe(0);
  },
);

test('events beyond the bound in bytes are dropped and counted, and publish returns that they are not in the log', async () => {
  await redis.kill();
  const large = event(0, { message: 'x'.repeat(1024 * 1024) });
  const published = await Promise.all(
    Array.from({ length: 20 }, (_, i) => publisher.publish(subject, [{ event: large, seq: i + 1 }], 1)),
  );
  expect(published).not.toContain(true);
  expect(dropped).toBeGreaterThan(0);
  expect(dropped).toBeLessThan(20);
});

test('events that Redis refuses for lack of memory are in the log, in order, when it has memory again', async () => {
  expect(await publisher.publish(subject, [progress(1)], 1)).toBe(true);
  await redis.client.config('SET', 'maxmemory', '1');
  expect(await publisher.publish(subject, [progress(2)], 1)).toBe(false);
  expect(await publisher.publish(subject, [progress(3)], 1)).toBe(false);
  await redis.client.config('SET', 'maxmemory', '0');
  await waitFor('all to be in the log', async () => (await inLog()).length === 3);
  expect(await inLog()).toEqual([1, 2, 3]);
  expect(dropped).toBe(0);
});

test('a thousand kept events are in the log, in order, when Redis recovers', async () => {
  await redis.kill();
  const all = Array.from({ length: 1000 }, (_, i) => i + 1);
  for (const seq of all) void publisher.publish(subject, [progress(seq)], 1);
  await redis.restart();
  await waitFor('all to be in the log', async () => (await inLog().catch(() => [])).length === all.length);
  expect(await inLog()).toEqual(all);
});
