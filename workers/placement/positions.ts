import { isTerminal } from '@warmwind/shared/contract/jobs';
import type { Records } from '@warmwind/shared/engine/node/records';
import type { Waiter, WaitingStarts } from '@warmwind/shared/engine/node/waiting-starts';
import { waitMessage } from './room.ts';

/** A start that no worker has had for this long does not wait any more, ms: several times its longest delay. */
const GONE_AFTER_MS = 120_000;

export type PositionsOptions = { waiting: WaitingStarts; records: Records };

/**
 * Publishes the reason and position of each waiting start where they have changed, and removes starts that
 * have ended. To be repeated by one process of the fleet.
 */
export async function publishPositions(
  { waiting, records }: PositionsOptions,
  signal: AbortSignal,
): Promise<void> {
  const starts = await waiting.list();
  if (starts.length === 0) return;
  const refs = starts.map((start) => ({ ...start, kind: 'container.start' as const, containerId: '' }));
  const statuses = await records.jobs.statuses(refs);
  const gone: Waiter[] = [];
  let position = 0;
  for (const [index, start] of starts.entries()) {
    if (signal.aborted) return;
    const { userId, jobId, run, reason, seenAt } = start;
    const status = statuses[index];
    const ended = status && (isTerminal(status.state) || status.run !== run);
    if (ended || Date.now() - seenAt > GONE_AFTER_MS) {
      gone.push(start);
      continue;
    }
    position += 1;
    const { waiting: shown } = status ?? {};
    if (status?.state !== 'queued' || (shown?.reason === reason && shown.position === position)) continue;
    const { kind, containerId, fence } = status;
    // Its number is above those of its last worker. A later worker has a later fence.
    const ref = { userId, jobId, run, kind, containerId };
    const message = `waiting: ${waitMessage(reason)}`;
    await records.jobs.progress(ref, fence, Date.now(), {
      percent: 0,
      message,
      waiting: { reason, position },
    });
  }
  await waiting.remove(gone.map(({ member }) => member));
}
