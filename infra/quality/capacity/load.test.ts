import { ACK_EVERY_BYTES } from '@warmwind/shared/contract/screen';
import { expect, it } from 'vitest';
import { acksOf, anywhere, cpuMs, loadOf } from './load.ts';

it('counts one acknowledgement for each single frame, and one for several frames within a pause', () => {
  expect(acksOf(8, 1000)).toBe(8);
  expect(acksOf(24, 1000)).toBe(8);
  // Every third frame is due when the pause ends.
  expect(acksOf(20, 1000)).toBe(8);
  expect(acksOf(24, ACK_EVERY_BYTES)).toBe(24);
  expect(acksOf(0, 0)).toBe(0);
});

it('counts a node for a desktop when it has at least one of its viewers', () => {
  expect(anywhere(1, 5)).toBe(1);
  expect(anywhere(10, 1)).toBeCloseTo(1);
  expect(anywhere(10, 1000)).toBeCloseTo(10);
});

it('delivers a frame to each node once, and to each viewer once', () => {
  const load = loadOf({ viewers: 1000, desktops: 2, fps: 10, frameBytes: 4000, events: 1 }, 5);
  expect(load).toMatchObject({ published: 20, deliveries: 10_000, eventDeliveries: 1000, appended: 2 });
  expect(load.frames).toBeCloseTo(100);
  expect(load.copies).toBeCloseTo(110);
  expect(load.frameBytes).toBeCloseTo(400_000);
});

it('computes the processor time as the sum of each load times its cost', () => {
  const load = loadOf({ viewers: 10, desktops: 1, fps: 10, frameBytes: 100, events: 0 }, 1);
  expect(cpuMs(load, { nodes: 2000, deliveries: 30 })).toBeCloseTo(2 + 3);
});
