import { type Container, containerFromRecord, hasEnded } from '@warmwind/shared/contract/containers';
import { ApiError } from '@warmwind/shared/contract/errors';
import { isId } from '@warmwind/shared/contract/ids';
import type { TicketClaims } from '@warmwind/shared/contract/tickets';
import { type RecordSources, readRecord } from '../rooms/records.ts';

/**
 * Reads the container that a ticket opens.
 *
 * @throws ApiError `not_found` when the container does not exist, belongs to another user, or is not the one
 * of the share link; `unavailable` when its record cannot be read
 */
export async function openDesktop(
  recordSources: RecordSources,
  ticket: TicketClaims,
  id: string,
): Promise<Container> {
  return (await openPlacement(recordSources, ticket, id)).container;
}

/** As {@link openDesktop}, with the container's incarnation. */
export async function openPlacement(
  recordSources: RecordSources,
  ticket: TicketClaims,
  id: string,
): Promise<{ container: Container; incarnation: number }> {
  const isExcluded = !isId(id) || (ticket.containerId !== undefined && ticket.containerId !== id);
  if (isExcluded) throw notFound();
  const record = await readRecord(recordSources, 'container', ticket.sub, id).catch((): never => {
    throw new ApiError('unavailable', 'The desktop cannot be read now. Try again in a moment.', {
      retryAfterMs: 1000,
    });
  });
  const container = containerFromRecord(record);
  if (!container) throw notFound();
  return { container, incarnation: Number(record.fence ?? 0) };
}

/**
 * Reads how a desktop ended.
 *
 * @returns its terminal state, `unknown` when it has no record, or `undefined` while it has not ended
 * @throws when the record cannot be read
 */
export async function endedState(
  recordSources: RecordSources,
  owner: string,
  id: string,
): Promise<string | undefined> {
  const container = containerFromRecord(await readRecord(recordSources, 'container', owner, id));
  if (!container) return 'unknown';
  return hasEnded(container.state) ? container.state : undefined;
}

const notFound = () => new ApiError('not_found', 'This ticket opens no desktop with this id. Check the id.');
