import type { Container } from '@warmwind/shared/contract/containers';
import { ApiError } from '@warmwind/shared/contract/errors';
import type { TicketClaims } from '@warmwind/shared/contract/tickets';
import type { Known } from '../rooms/records.ts';
import { openDesktop } from './access.ts';

/** A desktop for its owner: who has a share link may watch it, and ask nothing of it here. */
export async function ownedDesktop(known: Known, ticket: TicketClaims, id: string): Promise<Container> {
  if (ticket.containerId !== undefined) {
    throw new ApiError('not_found', 'There is nothing at this address for a share link.');
  }
  return openDesktop(known, ticket, id);
}

/** The realtime Redis did not do its part. */
export const away = (): never => {
  throw new ApiError('unavailable', 'This cannot be told now: ask again in a moment.', {
    retryAfterMs: 1000,
  });
};
