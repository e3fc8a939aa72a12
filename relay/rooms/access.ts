import { ApiError } from '@warmwind/shared/errors';
import { parseRoom } from '@warmwind/shared/events';
import { isId } from '@warmwind/shared/ids';
import { keys } from '@warmwind/shared/keys';
import type { TicketClaims } from '@warmwind/shared/realtime';
import type { Redis } from 'ioredis';
import type { Entry, RoomId } from './log.ts';

/** What the queue Redis says about a job or desktop; enough to tell whether a log's beginning is missing. */
type Subject = { begun: boolean; startedAt?: number };

export type OpenRoom = RoomId & { subject?: Subject };

/** A log's first event this much later than its subject's start is not the first that there was, ms. */
const LATE_MS = 30_000;

/**
 * The room that `name` means to the holder of `ticket`. Throws `not_found` alike for what is another's, what does not
 * exist and what is no room; `unavailable` while the queue Redis is away.
 */
export async function openRoom(queue: Redis, ticket: TicketClaims, name: string): Promise<OpenRoom> {
  const parsed = parseRoom(name);
  if (!parsed) throw notFound();
  const { kind, id, room } = parsed;
  const owner = ticket.sub;
  if (ticket.containerId !== undefined && (kind !== 'container' || id !== ticket.containerId))
    throw notFound();
  if (kind === 'user') {
    if (id !== owner) throw notFound();
    return { owner, room };
  }
  if (!isId(id)) throw notFound();
  const key = kind === 'job' ? keys.job(owner, id) : keys.container(owner, id);
  const [known, state, run, attempts, startedAt] = await queue
    .hmget(key, 'id', 'state', 'run', 'attemptsMade', 'startedAt')
    .catch(() => {
      throw new ApiError('unavailable', 'The room cannot be checked now: subscribe again in a moment.');
    });
  if (!known) throw notFound();
  const first = state === 'queued' || state === 'delayed' || state === 'requested';
  const begun = !first || Number(run ?? 1) > 1 || Number(attempts ?? 0) > 0;
  return { owner, room, subject: { begun, ...(startedAt ? { startedAt: Number(startedAt) } : {}) } };
}

/** Does the record know of events that the log, read from its start, no longer holds? */
export function beginningLost({ begun, startedAt }: Subject, first: Entry | undefined): boolean {
  if (!first) return begun;
  return startedAt !== undefined && Number(first.id.split('-')[0]) - startedAt > LATE_MS;
}

const notFound = () => new ApiError('not_found', 'There is no such room for this ticket: check its name.');
