/**
 * The position of an entry in a list: its time of creation, ms; within one millisecond the greater id comes
 * first.
 */
export type Position = { time: number; id: string };

/** An entry of a list. */
export type Listed = { id: string; createdAt: string; state: string };

export const positionOf = ({ id, createdAt }: Listed): Position => ({ time: Date.parse(createdAt), id });

/** Compares positions for a list from new to old: negative when `a` comes first. */
export function newestFirst(a: Position, b: Position): number {
  if (a.time !== b.time) return b.time - a.time;
  if (a.id === b.id) return 0;
  return a.id > b.id ? -1 : 1;
}
