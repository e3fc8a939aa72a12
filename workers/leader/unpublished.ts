import type { Records } from '@warmwind/shared/engine/node/records';
import type { Noted } from '@warmwind/shared/engine/node/unpublished';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import { each } from '../each.ts';

/** A process that keeps the event sends what came before it first, and has this long to do so, ms. */
const AFTER_MS = 5000;
/** How many ends are published in one go; the oldest first. */
const MAX = 1000;
const AT_ONCE = 8;
/** How long a container is waited for that was about to end and has not, ms. */
const OPEN_FOR_MS = 60_000;

export type UnpublishedOptions = {
  records: Records;
  log: Logger;
  /** ms; how old a note must be */
  afterMs?: number;
};

/**
 * Publishes the ends that were recorded and whose rooms may lack them: their event was kept by a process that is gone, or
 * given up while the realtime Redis was away. An end that can't be published now is left for the next call.
 */
export async function publishUnpublished(
  { records, log, afterMs = AFTER_MS }: UnpublishedOptions,
  signal: AbortSignal,
): Promise<void> {
  const { jobs, desktops, unpublished } = records;

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
      log.warn({ kind: note.kind, id: note.id, err: error }, 'end not published yet');
    }
  });
}
