import { type Container, containerFromRecord, hasEnded } from '@warmwind/shared/contract/containers';
import { ApiError } from '@warmwind/shared/contract/errors';
import { isId } from '@warmwind/shared/contract/ids';
import type { TicketClaims } from '@warmwind/shared/contract/tickets';
import { type Known, readRecord } from '../rooms/records.ts';

/**
 * The desktop that a ticket opens. Throws `not_found` alike for what is another's, what does not exist and what a share
 * link is not for; `unavailable` while what would know is away.
 */
export async function openDesktop(known: Known, ticket: TicketClaims, id: string): Promise<Container> {
  return (await openPlacement(known, ticket, id)).container;
}

/** The same with its incarnation: how often it was placed on a host. */
export async function openPlacement(
  known: Known,
  ticket: TicketClaims,
  id: string,
): Promise<{ container: Container; incarnation: number }> {
  const closed = !isId(id) || (ticket.containerId !== undefined && ticket.containerId !== id);
  if (closed) throw notFound();
  const record = await readRecord(known, 'container', ticket.sub, id).catch((): never => {
    throw new ApiError('unavailable', 'The desktop cannot be looked up now: try again in a moment.', {
      retryAfterMs: 1000,
    });
  });
  const container = containerFromRecord(record);
  if (!container) throw notFound();
  return { container, incarnation: Number(record.fence ?? 0) };
}

/** How a desktop has ended, `undefined` when it has not. Rejects when what would know is away. */
export async function endedState(known: Known, owner: string, id: string): Promise<string | undefined> {
  const container = containerFromRecord(await readRecord(known, 'container', owner, id));
  if (!container) return 'unknown';
  return hasEnded(container.state) ? container.state : undefined;
}

const notFound = () => new ApiError('not_found', 'There is no such desktop for this ticket: check its id.');
