import { checkState } from '@warmwind/shared/contract/call-refusal';
import type { Container } from '@warmwind/shared/contract/containers';
import type { RequestEnvelope } from '@warmwind/shared/contract/envelope';
import { ApiError } from '@warmwind/shared/contract/errors';
import { newId } from '@warmwind/shared/contract/ids';
import { findSessionCommand } from '@warmwind/shared/contract/sessions/registry';
import type { TicketClaims } from '@warmwind/shared/contract/tickets';
import { hashInput } from '@warmwind/shared/engine/node/input-hash';
import type { ToSessionHost } from '@warmwind/shared/runtime/session/messages';
import { LIMITS } from '../limits.ts';
import type { RecordSources } from '../rooms/records.ts';
import { openPlacement } from '../screen/access.ts';
import type { Rates } from '../shares.ts';
import type { SessionAddress } from './sessions.ts';

/** A session that a ticket asks for. `input` is valid by the schema of its kind. */
type SessionRequest = {
  kind: string;
  containerId: string;
  incarnation?: number | undefined;
  input: unknown;
};

/** The address of a new session, and the message that opens it at the container's host. */
export type Opening = { address: SessionAddress; head: Extract<ToSessionHost, { t: 'open' }> };

/**
 * Checks that a ticket may open a session.
 * @throws ApiError `not_found`, `forbidden`, `conflict`, `gone_incarnation`, `rate_limited` or `unavailable`
 */
export async function prepareOpening(
  { recordSources, lookups }: { recordSources: RecordSources; lookups: Rates },
  ticket: TicketClaims,
  { kind, containerId, incarnation: pinned, input }: SessionRequest,
): Promise<Opening> {
  lookups.take(ticket.sub);
  const { container, incarnation } = await openPlacement(recordSources, ticket, containerId);
  checkRights(kind, ticket, container);
  if (pinned !== undefined && pinned !== incarnation) {
    throw new ApiError(
      'gone_incarnation',
      'The container was placed again since: read it, then open a session.',
    );
  }
  const address = { containerId, callId: newId() };
  const text = JSON.stringify(input);
  const envelope: RequestEnvelope = {
    ...address,
    userId: ticket.sub,
    incarnation,
    credential: ticket.credential ?? `ticket:${ticket.jti}`,
    deadline: Date.now() + LIMITS.sessionOpenMs,
    inputHash: hashInput(text),
  };
  return { address, head: { t: 'open', envelope, kind, input: text } };
}

/** @throws ApiError `forbidden`, `paused` or `conflict` */
function checkRights(kind: string, ticket: TicketClaims, container: Container): void {
  const command = findSessionCommand(kind);
  if (!command) throw new ApiError('bad_request', 'There is no such kind of session: check its name.');
  if (ticket.containerId !== undefined) {
    throw new ApiError(
      'forbidden',
      "Only the container's owner opens sessions: use a ticket without containerId.",
    );
  }
  if (command.mode === 'control' && ticket.mode !== 'control') {
    throw new ApiError('forbidden', 'This ticket may only view: ask for one with mode "control".');
  }
  checkState(command.requires, container);
}
