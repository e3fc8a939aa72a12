import { expect, test } from 'vitest';
import type { Random } from '../../../infra/quality/chaos/random.ts';
import { plannedRandom } from '../../../infra/quality/testing/random.ts';
import { MAX_CHUNK_BYTES, type SessionFrame, SessionProtocolError, WINDOW_BYTES } from './frames.ts';
import { SessionStream } from './stream.ts';

const sequence = (from: number, length: number): Uint8Array =>
  Uint8Array.from({ length }, (_, index) => ((from + index) * 31 + ((from + index) >> 8)) & 255);

/** One end of a session, with the bytes that it writes and reads. */
class End {
  readonly stream: SessionStream;
  readonly #total: number;
  #written = 0;
  read = 0;
  intact = true;
  largest = 0;

  constructor(total: number, chunkBytes = MAX_CHUNK_BYTES) {
    this.#total = total;
    this.stream = new SessionStream(chunkBytes);
  }

  write(most: number): void {
    const { outgoing } = this.stream;
    this.#written += outgoing.write(sequence(this.#written, Math.min(most, this.#total - this.#written)));
    if (this.#written === this.#total) outgoing.end();
  }

  take(most: number): void {
    const { incoming } = this.stream;
    const bytes = incoming.read(most);
    const expected = sequence(this.read, bytes.length);
    this.intact &&= bytes.every((byte, index) => byte === expected[index]);
    this.read += bytes.length;
    if (incoming.isAtEnd) incoming.readEnd();
    this.largest = Math.max(this.largest, incoming.capacity, this.stream.outgoing.capacity);
  }
}

/** Carries frames from one end to the other; with `faults` it loses and repeats some at random. */
function carry(random: Random, from: End, to: End, faults: boolean): void {
  for (let frame = from.stream.next(); frame; frame = from.stream.next()) {
    if (faults && random.chance(0.15)) continue;
    to.stream.receive(frame);
    if (faults && random.chance(0.1)) to.stream.receive(frame);
  }
}

test.each(Array.from({ length: 12 }, (_, seed) => seed))(
  'each side reads the bytes of the other intact, despite losses, repetitions, reattachments and slow readers: seed %i',
  (seed) => {
    const random = plannedRandom(seed);
    const ends = [
      new End(random.int(0, 2 * WINDOW_BYTES), random.int(10_000, MAX_CHUNK_BYTES)),
      new End(random.int(0, WINDOW_BYTES / 4), random.int(1000, MAX_CHUNK_BYTES)),
    ] as const;
    const [a, b] = ends;
    const slow = random.pick(ends);
    const done = () => a.stream.outgoing.isDelivered && b.stream.outgoing.isDelivered;
    for (
      let round = 0;
      round < 4000 && !(done() && ends.every((end) => end.stream.incoming.isAtEnd));
      round++
    ) {
      for (const end of ends) {
        if (random.chance(0.9)) end.write(random.int(0, WINDOW_BYTES));
        end.take(end === slow ? random.int(0, 100_000) : WINDOW_BYTES);
        if (random.chance(0.3)) end.stream.tick();
      }
      if (random.chance(0.1)) {
        // Another connection: frames in flight are lost, and both ends request the bytes that they lack.
        while (a.stream.next() ?? b.stream.next());
        a.stream.resume();
        b.stream.resume();
      }
      carry(random, a, b, true);
      carry(random, b, a, true);
    }
    expect(
      ends.map(({ intact, stream }) => [intact, stream.incoming.isAtEnd, stream.outgoing.isDelivered]),
    ).toEqual(Array(2).fill([true, true, true]));
    for (const { largest } of ends) expect(largest).toBeLessThanOrEqual(WINDOW_BYTES);
  },
);

test('a sender stops when the window is full, and may continue by as many bytes as were read', () => {
  const [a, b] = [new End(3 * WINDOW_BYTES), new End(0)];
  const random = plannedRandom();
  a.write(3 * WINDOW_BYTES);
  carry(random, a, b, false);
  expect([b.stream.incoming.unread, a.stream.outgoing.room, a.stream.next()]).toEqual([
    WINDOW_BYTES,
    0,
    undefined,
  ]);
  b.take(MAX_CHUNK_BYTES);
  carry(random, b, a, false);
  expect(a.stream.outgoing.room).toBe(MAX_CHUNK_BYTES);
});

test('bytes that are lost at the end of a burst are sent again without a new connection', () => {
  const [a, b] = [new End(100), new End(0)];
  a.write(100);
  while (a.stream.next());
  for (let tick = 0; tick < 10; tick++) {
    a.stream.tick();
    carry(plannedRandom(), a, b, false);
  }
  b.take(WINDOW_BYTES);
  expect([b.read, b.intact, b.stream.incoming.isAtEnd]).toEqual([100, true, true]);
});

test('a gap requests a resend once, and yields no data', () => {
  const b = new End(0);
  for (const offset of [100, 200]) b.stream.receive({ t: 'data', offset, bytes: sequence(offset, 100) });
  expect([b.stream.next(), b.stream.next(), b.stream.incoming.unread]).toEqual([
    { t: 'ack', received: 0, consumed: 0, resend: true },
    undefined,
    0,
  ]);
});

test.each<[string, (stream: SessionStream) => SessionFrame]>([
  ['more than the credit', () => ({ t: 'data', offset: WINDOW_BYTES, bytes: sequence(0, 1) })],
  ['a chunk that is too long', () => ({ t: 'data', offset: 0, bytes: new Uint8Array(MAX_CHUNK_BYTES + 1) })],
  ['an acknowledgement of what was not sent', () => ({ t: 'ack', received: 1, consumed: 0 })],
  [
    'more read than has arrived',
    (stream) => {
      stream.outgoing.write(sequence(0, 10));
      stream.next();
      return { t: 'ack', received: 5, consumed: 6 };
    },
  ],
  [
    'bytes after the end',
    (stream) => {
      stream.receive({ t: 'end', offset: 0 });
      return { t: 'data', offset: 0, bytes: sequence(0, 1) };
    },
  ],
  [
    'an end before bytes that came',
    (stream) => {
      stream.receive({ t: 'data', offset: 0, bytes: sequence(0, 10) });
      return { t: 'end', offset: 9 };
    },
  ],
])('%s is a violation of the protocol', (_, prepare) => {
  const stream = new SessionStream(MAX_CHUNK_BYTES);
  const frame = prepare(stream);
  expect(() => stream.receive(frame)).toThrow(SessionProtocolError);
});
