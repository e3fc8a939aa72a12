import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { percentsOf, storedEvent } from '../../../infra/quality/testing/events.ts';
import { startRedis, type TestRedis } from '../../../infra/quality/testing/redis.ts';
import { waitFor } from '../../../infra/quality/testing/wait.ts';
import { LOG_MAX_BYTES, type StoredEvent } from '../../contract/rooms.ts';
import { roomKeys } from '../keys.ts';
import { type Append, appendEvents, type Subject } from './event-log.ts';

let redis: TestRedis;

beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis?.stop());

const subject = (): Subject => ({ userId: `ann-${randomUUID()}`, room: `job:${randomUUID()}` });
const progress = (percent: number): StoredEvent => storedEvent('job.progress', { percent });
const send = (to: Subject, events: Append[], fence?: number) => appendEvents(redis.client, to, events, fence);

/** The events of a log: the count, the percentage and the id of each. */
async function log({ userId }: Subject, room: string) {
  const rows = await redis.client.xrange(roomKeys.log(userId, room), '-', '+');
  return rows.map(([id, [, n, , event]]) => ({
    id,
    n: Number(n),
    percent: percentsOf([JSON.parse(event ?? '')])[0],
  }));
}
const percents = async (of: Subject) => (await log(of, of.room)).map(({ percent }) => percent);

test('an event with a token is appended once, however often and by any producer it is sent', async () => {
  const to = subject();
  const event = { event: progress(1), token: 'queued:1' };
  const counts = await Promise.all([send(to, [event]), send(to, [event], 3), send(to, [event], 4)]);
  expect(counts.reduce((sum, n) => sum + n, 0)).toBe(1);
  expect(await percents(to)).toEqual([1]);
});

test('an event without a token is appended once by its fence and seq', async () => {
  const to = subject();
  const batch = [1, 2, 3].map((seq) => ({ event: progress(seq), seq }));
  expect(await send(to, batch, 1)).toBe(3);
  expect(await send(to, batch, 1)).toBe(0);
  expect(await send(to, [...batch.slice(1), { event: progress(4), seq: 4 }], 1)).toBe(1);
  expect(await percents(to)).toEqual([1, 2, 3, 4]);
});

test('the events of a producer with an older fence are dropped, tokens included; the new one starts over', async () => {
  const to = subject();
  await send(to, [{ event: progress(1), seq: 7 }], 1);
  expect(await send(to, [{ event: progress(2), seq: 1 }], 2)).toBe(1);
  expect(
    await send(
      to,
      [
        { event: progress(3), seq: 8 },
        { event: progress(4), token: 'end:1', seq: 1 },
      ],
      1,
    ),
  ).toBe(0);
  expect(await percents(to)).toEqual([1, 2]);
});

test('after the end no event without a token is appended under that fence', async () => {
  const to = subject();
  await send(to, [{ event: progress(1), seq: 1 }], 1);
  expect(await send(to, [{ event: progress(100), token: 'end:1', seq: 1 }])).toBe(1);
  expect(await send(to, [{ event: progress(2), seq: 2 }], 1)).toBe(0);
  expect(await send(to, [{ event: progress(100), token: 'end:1', seq: 1 }], 1)).toBe(0);
  expect(await send(to, [{ event: progress(5), seq: 1 }], 2)).toBe(1);
  expect(await percents(to)).toEqual([1, 100, 5]);
});

test('an end that is published late does not block the events of a later run', async () => {
  const to = subject();
  await send(to, [{ event: progress(1), seq: 1 }], 1);
  await send(to, [{ event: progress(2), seq: 1 }], 3);
  expect(await send(to, [{ event: progress(100), token: 'end:1', seq: 1 }])).toBe(1);
  expect(await send(to, [{ event: progress(3), seq: 2 }], 3)).toBe(1);
  expect(await percents(to)).toEqual([1, 2, 100, 3]);
});

test("an event is in the logs of its subject and its owner, a private one in its subject's only", async () => {
  const to = subject();
  await send(to, [
    { event: progress(1), token: 'a' },
    { event: progress(2), token: 'b', private: true },
  ]);
  expect(await percents(to)).toEqual([1, 2]);
  expect((await log(to, `user:${to.userId}`)).map(({ percent }) => percent)).toEqual([1]);
});

test('the events of a log are counted from 1 without gaps, and a log has a TTL of a day', async () => {
  const to = subject();
  for (const n of [1, 2, 3]) await send(to, [{ event: progress(n), token: `${n}` }]);
  expect((await log(to, to.room)).map(({ n }) => n)).toEqual([1, 2, 3]);
  expect(await redis.client.ttl(roomKeys.log(to.userId, to.room))).toBeGreaterThan(86_000);
  expect(await redis.client.ttl(roomKeys.meta(to.userId, to.room))).toBeGreaterThan(86_000);
});

/** Output of 64 KB in half as many characters. */
const large = (n: number): StoredEvent => storedEvent('job.output', { text: `${n} ${'é'.repeat(32_760)}` });
const numberOf = (event: string | undefined) => Number.parseInt(JSON.parse(event ?? '').data.text, 10);

test('a log is bounded in bytes: the append removes the oldest events and keeps the newest', async () => {
  const to = subject();
  for (let n = 1; n <= 200; n++) {
    await send(to, [{ event: large(n), seq: n }], 1);
    if (n % 50 !== 0) continue;
    for (const room of [to.room, `user:${to.userId}`]) {
      const key = roomKeys.log(to.userId, room);
      const rows = await redis.client.xrange(key, '-', '+');
      const bytes = rows.reduce((sum, [, fields]) => sum + Buffer.byteLength(fields[3] ?? ''), 0);
      expect(bytes).toBeLessThanOrEqual(LOG_MAX_BYTES);
      expect(rows.length).toBe(Math.min(n, Math.floor(LOG_MAX_BYTES / (bytes / rows.length))));
      expect(numberOf(rows.at(-1)?.[1][3])).toBe(n);
      // A node of the stream holds one such event: the allocation of Redis is close to the counted bytes.
      const used = Number(await redis.client.memory('USAGE', key, 'SAMPLES', 0));
      expect(used).toBeLessThan(1.3 * LOG_MAX_BYTES);
    }
  }
});

test('one append of more than a log may hold keeps its newest events', async () => {
  const to = subject();
  const batch = Array.from({ length: 100 }, (_, i) => ({ event: large(i + 1), token: `${i + 1}` }));
  expect(await send(to, batch)).toBe(100);
  const rows = await redis.client.xrange(roomKeys.log(to.userId, to.room), '-', '+');
  expect(rows.map(([, fields]) => Number(fields[1]))).toEqual(
    Array.from({ length: rows.length }, (_, i) => 100 - rows.length + i + 1),
  );
  expect(rows.length).toBeGreaterThan(50);
});

test('the end of a job stays in its log, however large it or the output before it is', async () => {
  const to = subject();
  for (let n = 1; n <= 80; n++) await send(to, [{ event: large(n), seq: n, private: true }], 1);
  const result = { text: 'x'.repeat(LOG_MAX_BYTES), finishReason: 'stop', usage: {} };
  const end = storedEvent('job.completed', { result });
  await send(to, [{ event: end, token: 'end:1', seq: 1 }]);
  // Neither output under the ended fence nor a repeated end displaces it.
  await send(to, [{ event: large(81), seq: 81 }], 1);
  await send(to, [{ event: end, token: 'end:1', seq: 1 }]);
  const rows = await redis.client.xrange(roomKeys.log(to.userId, to.room), '-', '+');
  expect(rows.map(([, fields]) => JSON.parse(fields[3] ?? '').type)).toEqual(['job.completed']);
});

test('a log with entries that do not count their bytes is bounded too', async () => {
  const to = subject();
  const key = roomKeys.log(to.userId, to.room);
  for (let n = 1; n <= 70; n++) await redis.client.xadd(key, '*', 'n', n, 'e', JSON.stringify(large(n)));
  for (let n = 71; n <= 140; n++) await send(to, [{ event: large(n), seq: n }], 1);
  const rows = await redis.client.xrange(key, '-', '+');
  expect(Number(rows[0]?.[1][1])).toBeGreaterThan(70);
  expect(numberOf(rows.at(-1)?.[1][3])).toBe(140);
});

test('with concurrent producers the channel has the order of the log, and each message names the one before', async () => {
  const to = subject();
  const owner = `user:${to.userId}`;
  const listener = redis.client.duplicate();
  const messages = new Map<string, { prev?: string; id?: string }[]>();
  for (const room of [to.room, owner]) {
    const channel = roomKeys.channel(to.userId, room);
    messages.set(channel, []);
    await listener.ssubscribe(channel);
  }
  listener.on('smessage', (channel: string, message: string) => {
    const [prev, id] = message.split('\n');
    messages.get(channel)?.push({ prev, id });
  });
  const producers = Array.from({ length: 4 }, () => redis.client.duplicate());
  await Promise.all(
    producers.map(async (producer, k) => {
      for (let i = 0; i < 50; i++) {
        const token = `${k}:${i}`;
        await appendEvents(producer, to, [{ event: progress(i), token, private: i % 5 === 0 }]);
      }
    }),
  );
  for (const [room, count] of [
    [to.room, 200],
    [owner, 160],
  ] as const) {
    const seen = messages.get(roomKeys.channel(to.userId, room)) ?? [];
    await waitFor('every message', () => seen.length === count);
    const ids = (await log(to, room)).map(({ id }) => id);
    expect(seen).toEqual(ids.map((id, i) => ({ prev: ids[i - 1] ?? '0-0', id })));
  }
  for (const connection of [listener, ...producers]) connection.disconnect();
});
