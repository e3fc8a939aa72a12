import { type Listed, newestFirst, type Position, positionOf } from './position.ts';

/** One source's part of a list, newest first: complete down to its horizon, or to the end without one. */
export type Page<T> = { items: T[]; horizon: Position | undefined };

/**
 * Merges the pages of several sources down to the nearest of their horizons: beyond it, one of them may have
 * an entry that comes first.
 * @param pick chooses between two versions of the same entry; the first is of the first source
 * @returns `next` is where the following page begins, unless this is the last
 */
export function mergePages<T extends Listed>(
  pages: Page<T>[],
  limit: number,
  pick: (a: T, b: T) => T,
): { items: T[]; next: Position | undefined } {
  const [horizon] = pages.flatMap((page) => page.horizon ?? []).sort(newestFirst);
  const byId = new Map<string, T>();
  for (const item of pages.flatMap(({ items }) => items)) {
    if (horizon && newestFirst(positionOf(item), horizon) > 0) continue;
    const known = byId.get(item.id);
    byId.set(item.id, known ? pick(known, item) : item);
  }
  const sorted = [...byId.values()].sort((a, b) => newestFirst(positionOf(a), positionOf(b)));
  const items = sorted.slice(0, limit);
  const last = items.at(-1);
  return { items, next: last && sorted.length > limit ? positionOf(last) : horizon };
}
