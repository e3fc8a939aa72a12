/** Where an entry stands in a list: when it was created, ms, and of one millisecond the greater id first. */
export type Position = { time: number; id: string };

/** What can be listed. */
export type Listed = { id: string; createdAt: string; state: string };

export const positionOf = ({ id, createdAt }: Listed): Position => ({ time: Date.parse(createdAt), id });

/** For a list from new to old: negative when `a` comes first. */
export function newestFirst(a: Position, b: Position): number {
  if (a.time !== b.time) return b.time - a.time;
  if (a.id === b.id) return 0;
  return a.id > b.id ? -1 : 1;
}
