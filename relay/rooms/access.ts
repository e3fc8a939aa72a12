import { ApiError } from '@warmwind/shared/contract/errors';
import { isId } from '@warmwind/shared/contract/ids';
import { parseRoom, type Snapshot } from '@warmwind/shared/contract/rooms';
import type { TicketClaims } from '@warmwind/shared/contract/tickets';
import { keys } from '@warmwind/shared/engine/keys';
import type { RoomId } from './log.ts';
import { type RecordSources, readRecord } from './records.ts';

/**
 * A room that a ticket may read. `since`: the time at which its log should begin, ms since 1970, by the
 * records: the start of the job or desktop, or the creation of the oldest job or desktop in a user's indices.
 */
export type OpenRoom = RoomId & { since?: number };

/** A log that begins this much later than it should has lost its first events, ms. */
const MAX_START_DELAY_MS = 30_000;

/**
 * Finds the room `name` for the holder of `ticket`.
 * @throws ApiError `not_found` alike for another user's room, an unknown room and a malformed name;
 * `unavailable` while the stores do not answer
 */
export async function openRoom(
  recordSources: RecordSources,
  ticket: TicketClaims,
  name: string,
): Promise<OpenRoom> {
  const parsed = parseRoom(name);
  if (!parsed) throw notFound();
  const { kind, id, room } = parsed;
  const owner = ticket.sub;
  if (ticket.containerId !== undefined && (kind !== 'container' || id !== ticket.containerId))
    throw notFound();
  if (kind === 'user') {
    if (id !== owner) throw notFound();
    const { queue } = recordSources;
    const oldest = await Promise.all([
      queue.zrange(keys.jobs(owner), 0, '0', 'WITHSCORES'),
      queue.zrange(keys.containers(owner), 0, '0', 'WITHSCORES'),
    ]).catch(uncheckable);
    const times = oldest.flatMap(([, time]) => (time === undefined ? [] : [Number(time)]));
    return { owner, room, ...(times.length > 0 ? { since: Math.min(...times) } : {}) };
  }
  if (!isId(id)) throw notFound();
  const record = await readRecord(recordSources, kind, owner, id).catch(uncheckable);
  if (!record.id) throw notFound();
  const { startedAt } = record;
  return { owner, room, ...(startedAt ? { since: Number(startedAt) } : {}) };
}

/** Checks whether a log whose first event is of `firstAt` (ms since 1970) has lost events before it. */
export const hasLostStart = ({ since }: OpenRoom, firstAt: number): boolean =>
  since !== undefined && firstAt - since > MAX_START_DELAY_MS;

/**
 * Checks whether the job or desktop of a snapshot is past its first state, so that its log must hold events.
 */
export const hasBegun = ({ type, data }: Snapshot): boolean =>
  type === 'container.snapshot'
    ? data.state !== 'requested'
    : !['queued', 'delayed'].includes(data.state) || data.run > 1 || data.attemptsMade > 0;

const uncheckable = (): never => {
  throw new ApiError('unavailable', 'The room cannot be checked now: subscribe again in a moment.');
};

const notFound = () => new ApiError('not_found', 'There is no such room for this ticket: check its name.');
