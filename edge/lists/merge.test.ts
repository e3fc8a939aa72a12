import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { mergePages, type Page } from './merge.ts';
import { newestFirst, type Position, positionOf } from './position.ts';

type Item = { id: string; createdAt: string; state: string };
const item = (time: number, id: string, state = 'open'): Item => ({
  id,
  createdAt: new Date(time).toISOString(),
  state,
});

/** Builds a page as a source returns it. */
function pageOf(items: Item[], before: Position | undefined, limit: number): Page<Item> {
  const sorted = items.toSorted((a, b) => newestFirst(positionOf(a), positionOf(b)));
  const rest = sorted.filter((one) => !before || newestFirst(positionOf(one), before) > 0);
  const listed = rest.slice(0, limit);
  const last = listed.at(-1);
  return { items: listed, horizon: last && rest.length > limit ? positionOf(last) : undefined };
}

describe('merged pages', () => {
  const entry = fc.record({
    time: fc.integer({ min: 0, max: 5 }),
    id: fc.integer({ min: 0, max: 40 }),
    inRedis: fc.boolean(),
  });

  test('list every entry of either source exactly once, in order, for any horizons and ties', () => {
    const property = fc.property(
      fc.uniqueArray(entry, { selector: ({ id }) => id, maxLength: 40 }),
      fc.integer({ min: 1, max: 7 }),
      fc.integer({ min: 1, max: 7 }),
      (entries, limit, scan) => {
        const items = entries.map(({ time, id }) => item(time, `${id}`.padStart(2, '0')));
        const redis = items.filter((_, i) => entries[i]?.inRedis);
        const ledger = items.filter((_, i) => !entries[i]?.inRedis || i % 2 === 0);
        const seen: string[] = [];
        let before: Position | undefined;
        for (let pages = 0; ; pages += 1) {
          expect(pages).toBeLessThanOrEqual(100);
          const { items: page, next } = mergePages(
            [pageOf(redis, before, Math.min(scan, limit)), pageOf(ledger, before, limit + 1)],
            limit,
            (a) => a,
          );
          expect(page.length).toBeLessThanOrEqual(limit);
          seen.push(...page.map(({ id }) => id));
          if (!next) break;
          before = next;
        }
        const all = items.toSorted((a, b) => newestFirst(positionOf(a), positionOf(b)));
        expect(seen).toEqual(all.map(({ id }) => id));
      },
    );
    fc.assert(property, { numRuns: 500 });
  });

  test('have the picked one of two versions', () => {
    const pages = [
      { items: [item(1, 'a', 'redis')], horizon: undefined },
      { items: [item(1, 'a', 'ledger')], horizon: undefined },
    ];
    expect(mergePages(pages, 5, (a) => a).items).toMatchObject([{ state: 'redis' }]);
    expect(mergePages(pages, 5, (_, b) => b).items).toMatchObject([{ state: 'ledger' }]);
  });
});
