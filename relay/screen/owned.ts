import type { Container } from '@warmwind/shared/contract/containers';
import { ApiError } from '@warmwind/shared/contract/errors';
import type { TicketClaims } from '@warmwind/shared/contract/tickets';
import type { RecordSources } from '../rooms/records.ts';
import { openDesktop } from './access.ts';

/**
 * Reads a container for its owner. A share link may watch the container but opens no route of its owner.
 *
 * @throws ApiError `not_found`, also for every share link; `unavailable` when its record cannot be read
 */
export async function ownedDesktop(
  recordSources: RecordSources,
  ticket: TicketClaims,
  id: string,
): Promise<Container> {
  if (ticket.containerId !== undefined) {
    throw new ApiError('not_found', 'A share link does not open this address. Use a ticket of the owner.');
  }
  return openDesktop(recordSources, ticket, id);
}

/** @throws ApiError `unavailable`: the realtime Redis did not answer */
export const realtimeUnavailable = (): never => {
  throw new ApiError('unavailable', 'The relay cannot answer now. Try again in a moment.', {
    retryAfterMs: 1000,
  });
};
