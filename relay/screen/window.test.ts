import { ACK_EVERY_BYTES, ACK_EVERY_MS, VIEWER_WINDOW_BYTES } from '@warmwind/shared/contract/screen';
import { expect, test } from 'vitest';
import { Window } from './window.ts';

type Link = {
  /** How fast the viewer reads, bytes per ms. */
  speed: number;
  /** The one-way delay to it, ms. */
  delay: number;
  /** The source: bytes of a frame, frames a second, bytes of a keyframe. */
  bytes: number;
  fps: number;
  keyBytes: number;
};

/**
 * Simulates a viewer behind a link, on a clock of its own.
 *
 * @returns the median age of frames at the viewer, ms; the numbers of frames and keyframes; the most bytes
 * outstanding
 */
function simulate({ speed, delay, bytes, fps, keyBytes }: Link, seconds: number) {
  const window = new Window();
  const ages: number[] = [];
  /** The frames and acknowledgements on their way, each with its time of arrival. */
  const frames: { seq: number; bytes: number; sentAt: number; at: number }[] = [];
  const acks: { seq: number; at: number }[] = [];
  let [free, owed, ackedAt, seen, keys, most, sent, acked] = [0, 0, 0, 0, 0, 0, 0, 0];
  let needsKeyframe = true;
  const send = (kind: 'delta' | 'key', seq: number, size: number, now: number) => {
    window.sent({ head: { kind, epoch: 1, seq, width: 1, height: 1 }, bytes: size, at: now });
    free = Math.max(free, now) + size / speed;
    frames.push({ seq, bytes: size, sentAt: now, at: free + delay });
    sent += size;
    most = Math.max(most, sent - acked);
  };
  let seq = 0;
  let keyAt = Number.NEGATIVE_INFINITY;
  for (let now = 0; now < seconds * 1000; now++) {
    while (frames[0] && frames[0].at <= now) {
      const frame = frames.shift();
      if (!frame) break;
      ages.push(now - frame.sentAt);
      owed += frame.bytes;
      seen = frame.seq;
    }
    if (owed > 0 && (owed >= ACK_EVERY_BYTES || now - ackedAt >= ACK_EVERY_MS)) {
      acks.push({ seq: seen, at: now + delay });
      acked += owed;
      [owed, ackedAt] = [0, now];
    }
    while (acks[0] && acks[0].at <= now) window.ack(1, acks.shift()?.seq ?? 0, now);
    if (needsKeyframe && window.drained && now - keyAt > 334) {
      send('key', seq, keyBytes, now);
      [needsKeyframe, keyAt, keys] = [false, now, keys + 1];
    }
    if (now % Math.round(1000 / fps) !== 0) continue;
    seq += 1;
    if (needsKeyframe) continue;
    if (window.fits(bytes)) send('delta', seq, bytes, now);
    else needsKeyframe = true;
  }
  ages.sort((a, b) => a - b);
  return { p50: ages[Math.floor(ages.length / 2)] ?? Number.NaN, frames: ages.length, keys, most };
}

const SCREEN = { bytes: 50_000, fps: 30, keyBytes: 150_000 };

test('a viewer slower than the screen receives recent frames, by keyframes', () => {
  const { p50, keys, frames } = simulate({ ...SCREEN, speed: 1000, delay: 5 }, 30);
  expect(p50).toBeLessThan(400);
  expect(keys).toBeGreaterThan(10);
  expect(frames).toBeGreaterThan(30 * 10);
});

test.each([
  ['near', 10_000, 1],
  ['far', 10_000, 150],
  ['just fast enough', 1700, 20],
])('a viewer that is %s is sent every frame and one keyframe', (_, speed, delay) => {
  const { keys, frames } = simulate({ ...SCREEN, speed, delay }, 30);
  expect(keys).toBe(1);
  expect(frames).toBeGreaterThan(30 * 29);
});

test('a viewer never has more outstanding than a window and a keyframe', () => {
  for (const speed of [1, 10, 100, 300, 1000, 3000]) {
    for (const delay of [1, 50, 500]) {
      const { most } = simulate({ ...SCREEN, bytes: 200_000, speed, delay }, 10);
      expect(most).toBeLessThanOrEqual(VIEWER_WINDOW_BYTES + SCREEN.keyBytes + 2 * ACK_EVERY_BYTES);
    }
  }
});

test('a viewer that never acknowledges is sent one window of deltas and no more', () => {
  const window = new Window();
  let bytes = 0;
  for (let seq = 1; seq < 1000 && window.fits(7000); seq++) {
    window.sent({ head: { kind: 'delta', epoch: 1, seq, width: 1, height: 1 }, bytes: 7000, at: seq });
    bytes += 7000;
  }
  expect(bytes).toBeLessThanOrEqual(VIEWER_WINDOW_BYTES);
  expect(bytes).toBeGreaterThan(VIEWER_WINDOW_BYTES - 7000);
});

test('a frame larger than a window passes when nothing else is on the way', () => {
  const window = new Window();
  const frame = (seq: number) => ({
    head: { kind: 'delta' as const, epoch: 1, seq, width: 1, height: 1 },
    bytes: 2 * VIEWER_WINDOW_BYTES,
    at: seq,
  });
  expect(window.fits(frame(1).bytes)).toBe(true);
  window.sent(frame(1));
  expect(window.fits(1)).toBe(false);
  window.ack(1, 1, 10);
  expect(window.fits(frame(2).bytes)).toBe(true);
});
