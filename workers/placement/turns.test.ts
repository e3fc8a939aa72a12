import type { ResourceVector } from '@warmwind/shared/contract/resources';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { shortageOf, sumOf } from './room.ts';
import { turnsOf } from './turns.ts';

const NOW = 1_000_000;
const HOST = { capacity: { memoryMb: 4000, cpus: 8, gpus: 1, containers: 10 }, images: ['desk:1'] };
const vector = (memoryMb: number, more: Partial<ResourceVector> = {}): ResourceVector => ({
  memoryMb,
  cpus: 1,
  diskMb: 0,
  gpus: 0,
  containers: 1,
  ...more,
});
const start = (name: string, memoryMb: number, more: object = {}) => ({
  name,
  vector: vector(memoryMb),
  image: 'desk:1',
  ...more,
});
const going = (turns: ReturnType<typeof turnsOf<ReturnType<typeof start>>>) =>
  turns.filter(({ lacks }) => !lacks).map(({ start }) => start.name);

test('a large start that waits keeps later ones from the memory that it lacks, for a minute', () => {
  const used = vector(2500);
  const small = start('small', 500);
  const large = start('large', 2000);
  expect(going(turnsOf([small, large], HOST, used, NOW))).toEqual(['small']);
  const [first, second] = turnsOf([large, small], HOST, used, NOW);
  expect(first).toMatchObject({ lacks: 'memoryMb', holds: true });
  expect(second).toMatchObject({ lacks: 'memoryMb', holds: false });
  const held = { ...large, holdsSince: NOW - 59_000 };
  expect(going(turnsOf([held, small], HOST, used, NOW))).toEqual([]);
  expect(going(turnsOf([held, small], HOST, used, NOW + 2000))).toEqual(['small']);
});

test('a start for more than half of a machine keeps no later one', () => {
  const most = start('most', 2001);
  expect(turnsOf([most, start('small', 500)], HOST, vector(2500), NOW)).toMatchObject([
    { lacks: 'memoryMb', holds: false },
    { lacks: undefined },
  ]);
});

test('a machine holds no start with more CPUs than it has, although it offers each several times', () => {
  const offered = { ...HOST, machineCpus: 2 };
  const wide = start('wide', 500, { vector: vector(500, { cpus: 3 }) });
  expect(turnsOf([wide], offered, vector(0), NOW)).toEqual([]);
  expect(going(turnsOf([wide], HOST, vector(0), NOW))).toEqual(['wide']);
});

test('a start keeps no later one that does not need what it lacks, and none on a machine too small for it', () => {
  const card = start('card', 500, { vector: vector(500, { gpus: 1 }) });
  const used = vector(500, { gpus: 1 });
  expect(going(turnsOf([card, start('small', 500)], HOST, used, NOW))).toEqual(['small']);
  const huge = start('huge', 5000);
  expect(going(turnsOf([huge, start('small', 500)], HOST, vector(3500), NOW))).toEqual(['small']);
  const other = start('other', 3900, { image: 'other:1' });
  expect(going(turnsOf([other, start('small', 500)], HOST, vector(500), NOW))).toEqual(['small']);
});

test('an image is found by a short name as by a full one', () => {
  const host = { ...HOST, images: ['alpine:latest', 'registry.test:5000/desk:2'] };
  const found = (image: string) => turnsOf([start('one', 1, { image })], host, vector(0), NOW).length === 1;
  for (const image of ['alpine', 'docker.io/library/alpine', 'library/alpine:latest']) {
    expect(found(image)).toBe(true);
  }
  expect(found('registry.test:5000/desk:2')).toBe(true);
  for (const image of ['alpine:3', 'registry.test:5000/desk', 'other']) expect(found(image)).toBe(false);
  expect(turnsOf([start('one', 1)], { capacity: HOST.capacity }, vector(0), NOW)).toHaveLength(1);
});

const starts = fc.array(
  fc.record({
    memoryMb: fc.constantFrom(128, 512, 1000, 2000, 4000, 5000),
    gpus: fc.constantFrom(0, 0, 0, 1),
    heldMs: fc.option(fc.constantFrom(1000, 70_000), { nil: undefined }),
  }),
  { maxLength: 20 },
);

test('the starts that go fit together, and the first one that could fit is never overtaken while it holds', () => {
  fc.assert(
    fc.property(starts, fc.nat({ max: 4000 }), (all, usedMb) => {
      const used = { ...vector(usedMb), cpus: 0, containers: 0 };
      const waiting = all.map(({ memoryMb, gpus, heldMs }, i) => ({
        ...start(`${i}`, memoryMb, { vector: vector(memoryMb, { gpus }) }),
        ...(heldMs ? { holdsSince: NOW - heldMs } : {}),
      }));
      const turns = turnsOf(waiting, HOST, used, NOW);
      const go = turns.filter(({ lacks }) => !lacks).map((turn) => turn.start.vector);
      expect(shortageOf(sumOf([]), HOST.capacity, sumOf([used, ...go]))).toBeUndefined();
      const holder = turns.findIndex(({ holds }) => holds);
      const { lacks } = turns[holder] ?? {};
      if (lacks) {
        for (const later of turns.slice(holder + 1).filter((turn) => !turn.lacks)) {
          expect(later.start.vector[lacks]).toBe(0);
        }
      }
      expect(turns.filter(({ holds }) => holds).length).toBeLessThanOrEqual(1);
    }),
    { numRuns: 500 },
  );
});
