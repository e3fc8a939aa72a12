import { ApiError } from '@warmwind/shared/contract/errors';
import { isId } from '@warmwind/shared/contract/ids';
import { parseRoom, type Snapshot } from '@warmwind/shared/contract/rooms';
import type { TicketClaims } from '@warmwind/shared/contract/tickets';
import { keys } from '@warmwind/shared/engine/keys';
import type { RoomId } from './log.ts';
import { type Known, readRecord } from './records.ts';

/**
 * `since`: when the log should have begun, ms, as records know it: a job's or desktop's start, the creation of
 * the oldest that a user's indices name.
 */
export type OpenRoom = RoomId & { since?: number };

/** A log's first event this much later than it should have begun is not the first that there was, ms. */
const LATE_MS = 30_000;

/**
 * The room that `name` means to the holder of `ticket`. Throws `not_found` alike for what is another's, what does not
 * exist and what is no room; `unavailable` while what would know is away.
 */
export async function openRoom(known: Known, ticket: TicketClaims, name: string): Promise<OpenRoom> {
  const parsed = parseRoom(name);
  if (!parsed) throw notFound();
  const { kind, id, room } = parsed;
  const owner = ticket.sub;
  if (ticket.containerId !== undefined && (kind !== 'container' || id !== ticket.containerId))
    throw notFound();
  if (kind === 'user') {
    if (id !== owner) throw notFound();
    const { queue } = known;
    const oldest = await Promise.all([
      queue.zrange(keys.jobs(owner), 0, '0', 'WITHSCORES'),
      queue.zrange(keys.containers(owner), 0, '0', 'WITHSCORES'),
    ]).catch(uncheckable);
    const times = oldest.flatMap(([, time]) => (time === undefined ? [] : [Number(time)]));
    return { owner, room, ...(times.length > 0 ? { since: Math.min(...times) } : {}) };
  }
  if (!isId(id)) throw notFound();
  const record = await readRecord(known, kind, owner, id).catch(uncheckable);
  if (!record.id) throw notFound();
  const { startedAt } = record;
  return { owner, room, ...(startedAt ? { since: Number(startedAt) } : {}) };
}

/** Has a log whose first event is of `firstAt`, ms, lost what came before? */
export const beginsLate = ({ since }: OpenRoom, firstAt: number): boolean =>
  since !== undefined && firstAt - since > LATE_MS;

/** Has something happened to the job or desktop of a snapshot that must have been an event? */
export const hasBegun = ({ type, data }: Snapshot): boolean =>
  type === 'container.snapshot'
    ? data.state !== 'requested'
    : !['queued', 'delayed'].includes(data.state) || data.run > 1 || data.attemptsMade > 0;

const uncheckable = (): never => {
  throw new ApiError('unavailable', 'The room cannot be checked now: subscribe again in a moment.');
};

const notFound = () => new ApiError('not_found', 'There is no such room for this ticket: check its name.');
