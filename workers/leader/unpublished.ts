import type { Records } from '@warmwind/shared/engine/node/records';
import type { Noted } from '@warmwind/shared/engine/node/unpublished';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import { each } from '../each.ts';

/** The time that a process has to publish a buffered event and those before it, ms. */
const AFTER_MS = 5000;
/** How many ends one call publishes, the oldest first. */
const MAX = 1000;
const AT_ONCE = 8;
/** The life of a note about a container that has not ended after all, ms. */
const OPEN_FOR_MS = 60_000;

export type UnpublishedOptions = {
  records: Records;
  log: Logger;
  /** The least age of a note, ms. */
  afterMs?: number;
};

/**
 * Publishes recorded ends that may be missing in their rooms: the process that buffered the event is gone, or
 * dropped it while the realtime Redis was unavailable. An end that can't be published now is left for the
 * next call.
 */
export async function publishUnpublished(
  { records, log, afterMs = AFTER_MS }: UnpublishedOptions,
  signal: AbortSignal,
): Promise<void> {
  const { jobs, containers: desktops, unpublished } = records;

  const publish = async ({ kind, userId, id, notedAt }: Noted): Promise<boolean> => {
    if (kind === 'job') return jobs.publishEnds(userId, id);
    const outcome = await desktops.publishEnd({ userId, containerId: id });
    return outcome === 'published' || (outcome === 'open' && Date.now() - notedAt > OPEN_FOR_MS);
  };

  await unpublished.removeExpired();
  const before = Date.now() - afterMs;
  const due = (await unpublished.oldest(MAX)).filter(({ notedAt }) => notedAt <= before);
  await each(due, AT_ONCE, async (note) => {
    if (signal.aborted) return;
    try {
      if (await publish(note)) await unpublished.remove(note);
    } catch (error) {
      log.warn({ kind: note.kind, id: note.id, err: error }, 'end not published: retried');
    }
  });
}
