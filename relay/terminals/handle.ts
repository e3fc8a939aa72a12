import { closeTerminal } from '@warmwind/shared/client/terminal-attachment';
import { ApiError } from '@warmwind/shared/contract/errors';
import { isId } from '@warmwind/shared/contract/ids';
import type { SessionInputs } from '@warmwind/shared/contract/sessions/registry';
import { CLIENT_EVENTS } from '@warmwind/shared/contract/socket';
import type { Ack } from '@warmwind/shared/contract/tickets';
import { LIMITS } from '../limits.ts';
import { readSessionId } from '../sessions/sessions.ts';
import { Bucket } from '../sockets/bucket.ts';
import type { Inbound } from '../sockets/inbound.ts';
import type { RelaySocket } from '../sockets/socket.ts';
import { apiErrorOf, noTerminal, SocketTerminal } from './socket-terminal.ts';
import { type TerminalContext, terminalSessions } from './terminal-sessions.ts';

type Opening = {
  containerId: string;
  input: SessionInputs['container.terminal'];
  incarnation?: number | undefined;
  after?: number;
};

/** Handles the events of the terminals that one socket is attached to. Each attachment is a session. */
export function handleTerminals(socket: RelaySocket, inbound: Inbound, context: TerminalContext): void {
  const session = terminalSessions(context, socket.data.ticket);
  const held = new Map<string, SocketTerminal>();
  let opening = 0;
  socket.on('disconnect', () => {
    for (const terminal of [...held.values()]) terminal.end();
  });

  const attach = async (of: Opening, reply: (ack: Ack<object>) => void): Promise<void> => {
    const { containerId, input, incarnation, after = 0 } = of;
    if (held.size + opening >= LIMITS.terminalsPerSocket) {
      throw new ApiError(
        'quota_exceeded',
        `A socket may be attached to ${LIMITS.terminalsPerSocket} terminals: detach from one first.`,
      );
    }
    opening += 1;
    const terminal = new SocketTerminal(socket, session, { containerId, after });
    await terminal.start(input, incarnation).finally(() => {
      opening -= 1;
    });
    if (!socket.connected) return terminal.end();
    const { ttyId } = terminal.attached;
    held.get(ttyId)?.end();
    held.set(ttyId, terminal);
    reply({ ok: true, ...terminal.attached });
    terminal.begin(() => {
      if (held.get(ttyId) === terminal) held.delete(ttyId);
    });
  };

  inbound.on('tty:open', CLIENT_EVENTS['tty:open'].argument, async (argument, reply) => {
    const { containerId, incarnation, ...input } = argument;
    await attach({ containerId, incarnation, input }, reply);
  });

  inbound.on('tty:attach', CLIENT_EVENTS['tty:attach'].argument, async ({ ttyId, after }, reply) => {
    const containerId = containerOf(ttyId);
    held.get(ttyId)?.end();
    held.delete(ttyId);
    await attach({ containerId, after, input: { ttyId, after } }, reply);
  });

  inbound.on('tty:close', CLIENT_EVENTS['tty:close'].argument, async ({ ttyId }, reply) => {
    const closed = await closeTerminal(session, { containerId: containerOf(ttyId), ttyId }).catch(
      (error: unknown): never => {
        throw apiErrorOf(error);
      },
    );
    reply({ ok: true, ...closed });
  });

  handleInput(inbound, held);
}

/** Handles the events of an attached terminal. */
function handleInput(inbound: Inbound, held: ReadonlyMap<string, SocketTerminal>): void {
  const find = (ttyId: string): SocketTerminal => {
    const terminal = held.get(ttyId);
    if (terminal) return terminal;
    throw new ApiError('not_found', 'This connection has no such terminal: send tty:attach first.');
  };
  const { perSecond, burst } = LIMITS.terminalInputs;
  inbound.on(
    'tty:data',
    CLIENT_EVENTS['tty:data'].argument,
    async ({ ttyId, bytes, offset }, reply) => {
      const answer = { received: find(ttyId).input(bytes, offset) };
      reply({ ok: true, ...answer });
    },
    new Bucket(perSecond, burst),
  );
  inbound.on('tty:resize', CLIENT_EVENTS['tty:resize'].argument, async ({ ttyId, ...size }, reply) => {
    find(ttyId).resize(size);
    reply({ ok: true });
  });
  inbound.on('tty:detach', CLIENT_EVENTS['tty:detach'].argument, async ({ ttyId }, reply) => {
    find(ttyId).end();
    reply({ ok: true });
  });
}

/** @throws ApiError `not_found` for a malformed id */
function containerOf(ttyId: string): string {
  const address = readSessionId(ttyId);
  if (address && isId(address.callId)) return address.containerId;
  throw noTerminal();
}
