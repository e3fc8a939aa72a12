import { SessionRefusedError } from '@warmwind/shared/client/session';
import type { OpenTerminalSession } from '@warmwind/shared/client/terminal-attachment';
import { ApiError } from '@warmwind/shared/contract/errors';
import type { SessionResults } from '@warmwind/shared/contract/sessions/registry';
import type { TicketClaims } from '@warmwind/shared/contract/tickets';
import type { RecordSources } from '../rooms/records.ts';
import { NodeSession } from '../sessions/node-session.ts';
import { prepareOpening } from '../sessions/opening.ts';
import type { Sessions } from '../sessions/sessions.ts';
import type { Rates } from '../shares.ts';

export type TerminalContext = { recordSources: RecordSources; sessions: Sessions; lookups: Rates };

type Result = Promise<SessionResults['container.terminal']>;

/** Creates the function that opens sessions of terminals for the owner of a ticket: this node is their client. */
export const terminalSessions =
  (context: TerminalContext, ticket: TicketClaims): OpenTerminalSession =>
  async (kind, { containerId, input, incarnation, signal }) => {
    signal?.throwIfAborted();
    try {
      const opening = await prepareOpening(context, ticket, { kind, containerId, incarnation, input });
      const session = await NodeSession.open(context.sessions, opening);
      const abort = () => session.abort();
      signal?.addEventListener('abort', abort, { once: true });
      if (signal?.aborted) abort();
      const settled = () => signal?.removeEventListener('abort', abort);
      session.closed.then(settled, settled);
      const { readable, writable } = session;
      const { incarnation: present } = opening.head.envelope;
      return { incarnation: present, readable, writable, closed: session.closed as Result };
    } catch (error) {
      if (error instanceof ApiError) throw new SessionRefusedError(error.code, error.message);
      throw error;
    }
  };
