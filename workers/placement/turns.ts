import type { HostResources, Resource, ResourceVector } from '@warmwind/shared/contract/resources';
import { couldHold, shortageOf, sumOf } from './room.ts';

/** How long a start keeps later ones from the room that it waits for, ms. */
const HOLD_MS = 60_000;
/** The largest share of a machine for which a start may do so. */
const HOLD_SHARE = 0.5;

type Start = { vector: ResourceVector; image: string; holdsSince?: number | undefined };
/** A start that a machine could hold: it goes there now, or lacks a resource. */
export type Turn<T> = { start: T; lacks: Resource | undefined; holds: boolean };

/**
 * Decides which starts may take room of a machine now. A start that does not fit keeps every later one from
 * the resource that it lacks, for at most `HOLD_MS`: without this, small starts would overtake a large one
 * for as long as they keep coming. One start holds at a time, and none that asks for more than `HOLD_SHARE`
 * of the machine: it would keep everybody waiting until nearly all desktops have ended.
 * @param starts in the order of their turns
 * @param used the resources of the machine that are reserved
 * @returns those that the machine could hold when empty; the others wait for another machine
 */
export function turnsOf<T extends Start>(
  starts: T[],
  host: Pick<HostResources, 'capacity' | 'machineCpus' | 'images'>,
  used: ResourceVector,
  now: number,
): Turn<T>[] {
  let taken = used;
  let held: Resource | undefined;
  return starts
    .filter((start) => couldHold(host, start))
    .map((start) => {
      if (held && start.vector[held] > 0) return { start, lacks: held, holds: false };
      const lacks = shortageOf(start.vector, host.capacity, taken);
      if (!lacks) taken = sumOf([taken, start.vector]);
      const mayHold = lacks !== undefined && start.vector[lacks] <= HOLD_SHARE * (host.capacity[lacks] ?? 0);
      const holds = mayHold && held === undefined && now - (start.holdsSince ?? now) < HOLD_MS;
      if (holds) held = lacks;
      return { start, lacks, holds };
    });
}
