import { randomUUID } from 'node:crypto';
import { StoredEvent } from '@warmwind/shared/contract/events';
import { roomKeys } from '@warmwind/shared/engine/keys';
import { JobEvents } from '@warmwind/shared/engine/node/job-events';
import { Publisher } from '@warmwind/shared/engine/node/publisher';
import type { JobRef, OutputStream } from '@warmwind/shared/engine/node/records';
import { createLog } from '@warmwind/shared/runtime/node/log';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { plannedRandom } from '../../infra/quality/testing/random.ts';
import { startRedis, type TestRedis } from '../../infra/quality/testing/redis.ts';
import { Output } from './output.ts';
import { Pace } from './pace.ts';

let redis: TestRedis;
let publisher: Publisher;
let events: JobEvents;
const random = plannedRandom();

beforeAll(async () => {
  redis = await startRedis(['--appendonly', 'yes']);
  const log = createLog('test');
  log.level = 'silent';
  publisher = new Publisher(redis.client, log, undefined, 300);
  events = new JobEvents(publisher);
});
afterAll(async () => {
  publisher?.close();
  await redis?.stop();
});

const newRun = (): JobRef => ({
  userId: 'ada',
  jobId: randomUUID(),
  run: 1,
  kind: 'container.exec',
  containerId: 'c',
});

/** Text and bytes that are no text, of about this size. */
function mixedBytes(size: number): Buffer {
  const parts: Buffer[] = [];
  for (let total = 0; total < size; ) {
    const length = 1 + random.int(0, 30_000 - 1);
    const part =
      random.int(0, 2 - 1) === 0
        ? Buffer.from('aé€𝄞\n'.repeat(1 + length / 11))
        : Buffer.from(Array.from({ length: 1 + length / 4 }, () => random.int(0, 256 - 1)));
    parts.push(part);
    total += part.length;
  }
  return Buffer.concat(parts);
}

/** The bytes from an offset on, in chunks of random sizes. */
async function* chunks(all: Buffer, from: number): AsyncGenerator<Buffer> {
  for (let at = from; at < all.length; ) {
    const to = at + 1 + random.int(0, 40_000 - 1);
    yield all.subarray(at, to);
    at = to;
  }
}

/** One delivery of the job: publishes the output from the offset that its supervisor kept. */
function deliver(
  ref: JobRef,
  fence: number,
  stream: OutputStream,
  { stop = new AbortController(), onRefused = (_end: number): void => {} } = {},
) {
  const acknowledged: number[] = [];
  /** Those that the log did not have. */
  const tooEarly: number[] = [];
  const output = new Output({
    stream,
    program: {
      publish: async (piece) => {
        const isNew = await events.programOutput(ref, fence, piece, 1);
        if (!isNew) onRefused(piece.end);
        return isNew;
      },
      ends: () => events.outputEnds(ref),
    },
    pace: new Pace({ burst: 1e9, perSecond: 1e9 }),
    signal: stop.signal,
    tailBytes: 1000,
    onPublished: async (end) => {
      acknowledged.push(end);
      const logged = (await events.outputEnds(ref))?.[stream] ?? Number.POSITIVE_INFINITY;
      if (logged < end) tooEarly.push(end);
    },
  });
  return { output, acknowledged, tooEarly, stop };
}

async function logged(ref: JobRef, stream: OutputStream) {
  const rows = await redis.client.xrange(roomKeys.log(ref.userId, `job:${ref.jobId}`), '-', '+');
  return rows.flatMap(([, fields]) => {
    const { type, data } = StoredEvent.parse(JSON.parse(fields[3] ?? ''));
    if (type !== 'job.output' || !('stream' in data) || data.stream !== stream) return [];
    const text = 'text' in data ? data.text : undefined;
    const base64 = 'base64' in data ? data.base64 : undefined;
    return [{ ...data, text, base64 }];
  });
}
/** The bytes of a stream in the log. Fails when one is missing or there twice. */
async function published(ref: JobRef, stream: OutputStream): Promise<Buffer> {
  let end = 0;
  const parts = (await logged(ref, stream)).map(({ offset, text, base64 }) => {
    expect(offset).toBe(end);
    const bytes = text === undefined ? Buffer.from(base64 ?? '', 'base64') : Buffer.from(text);
    end += bytes.length;
    return bytes;
  });
  return Buffer.concat(parts);
}

test('deliveries that break off anywhere publish each byte once and in order, in pieces of 16 KB', async () => {
  const all = mixedBytes(400_000);
  const ref = newRun();
  let kept = 0;
  for (let fence = 1; ; fence++) {
    const { output, acknowledged, stop } = deliver(ref, fence, 'stdout');
    const interruption = { at: fence < 12 ? kept + random.int(0, 120_000 - 1) : Number.POSITIVE_INFINITY };
    async function* source() {
      let at = kept;
      for await (const chunk of chunks(all, kept)) {
        if (at > interruption.at) stop.abort('shutdown');
        if (at > interruption.at) throw new Error('broken off');
        at += chunk.length;
        yield chunk;
      }
    }
    const { stdout } = (await events.outputEnds(ref)) ?? { stdout: 0 };
    const isDone = await output.copy(source(), kept, stdout).then(
      () => true,
      () => false,
    );
    // Less than what is published is acknowledged.
    kept = Math.max(kept, (acknowledged.at(-1) ?? 0) - 1000);
    expect((await events.outputEnds(ref))?.stdout).toBeGreaterThanOrEqual(acknowledged.at(-1) ?? 0);
    if (isDone) {
      expect(output.end).toBe(all.length);
      expect(output.tail.value).toBe(
        output.tail.isText
          ? all.subarray(-Buffer.byteLength(output.tail.value)).toString()
          : all.subarray(-1000).toString('base64'),
      );
      break;
    }
  }
  expect((await published(ref, 'stdout')).equals(all)).toBe(true);
  for (const { text, base64 } of await logged(ref, 'stdout')) {
    const bytes = text === undefined ? Buffer.from(base64 ?? '', 'base64') : Buffer.from(text);
    expect(bytes.length).toBeLessThan(16_384 + 4);
  }
});

test('text in chunks that end anywhere is published as text', async () => {
  const text = 'aé€𝄞\n'.repeat(10_000);
  const ref = newRun();
  await deliver(ref, 1, 'stdout').output.copy(chunks(Buffer.from(text), 0), 0, 0);
  const pieces = await logged(ref, 'stdout');
  expect(pieces.map((piece) => piece.text).join('')).toBe(text);
});

test('a worker that lost its run publishes nothing, and acknowledges no byte that the log lacks', async () => {
  const all = mixedBytes(100_000);
  const ref = newRun();
  const { promise: isStuck, resolve } = Promise.withResolvers<void>();
  let again = 0;
  const onRefused = (end: number) => {
    if (end > 50_000) again += 1;
    if (again > 2) resolve();
  };
  const late = deliver(ref, 1, 'stderr', { onRefused });
  const next = deliver(ref, 2, 'stderr');
  await next.output.copy(chunks(all.subarray(0, 50_000), 0), 0, 0);
  const copying = late.output.copy(chunks(all, 0), 0, 0);
  copying.catch(() => undefined);
  await isStuck;
  await deliver(ref, 2, 'stderr').output.copy(chunks(all, 0), 0, (await events.outputEnds(ref))?.stderr ?? 0);
  late.stop.abort('lock-lost');
  await copying.catch(() => undefined);
  expect(late.acknowledged.length).toBeGreaterThan(0);
  expect(late.tooEarly).toEqual([]);
  expect((await published(ref, 'stderr')).equals(all)).toBe(true);
});

test('output waits while the realtime Redis is away, and no byte is lost or doubled', async () => {
  const all = mixedBytes(300_000);
  const ref = newRun();
  const { promise: refused, resolve } = Promise.withResolvers<void>();
  const { output } = deliver(ref, 1, 'stdout', { onRefused: () => resolve() });
  async function* source() {
    let sent = 0;
    for await (const chunk of chunks(all, 0)) {
      yield chunk;
      sent += 1;
      if (sent === 4) await redis.kill();
    }
  }
  const copying = output.copy(source(), 0, 0);
  await refused;
  expect(output.end).toBeLessThan(all.length);
  await redis.restart();
  await copying;
  expect((await published(ref, 'stdout')).equals(all)).toBe(true);
}, 30_000);

test('after the end of its run nothing is published', async () => {
  const ref = newRun();
  await events.active(ref, 1, 1);
  await events.ended(ref, { state: 'cancelled' }, 1);
  expect(await events.programOutput(ref, 1, { stream: 'stdout', start: 0, end: 1, text: 'a' }, 1)).toBe(
    false,
  );
  expect(await published(ref, 'stdout')).toEqual(Buffer.alloc(0));
});
