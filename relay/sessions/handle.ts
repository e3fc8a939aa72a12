import { ApiError } from '@warmwind/shared/contract/errors';
import { isId } from '@warmwind/shared/contract/ids';
import { CLIENT_EVENTS } from '@warmwind/shared/contract/socket';
import type { Ack } from '@warmwind/shared/contract/tickets';
import type { ToSessionHost } from '@warmwind/shared/runtime/session/messages';
import { LIMITS } from '../limits.ts';
import type { RecordSources } from '../rooms/records.ts';
import { openDesktop } from '../screen/access.ts';
import type { Rates } from '../shares.ts';
import { Bucket } from '../sockets/bucket.ts';
import type { Inbound } from '../sockets/inbound.ts';
import type { RelaySocket } from '../sockets/socket.ts';
import type { Link, LinkClient } from './link.ts';
import { prepareOpening } from './opening.ts';
import { readSessionId, type SessionAddress, type Sessions, sessionIdOf } from './sessions.ts';

/** Handles the events of the sessions that one socket carries. */
export function handleSessions(
  socket: RelaySocket,
  inbound: Inbound,
  { recordSources, sessions, lookups }: { recordSources: RecordSources; sessions: Sessions; lookups: Rates },
): void {
  const { ticket } = socket.data;
  const held = new Map<string, Link>();
  let opening = 0;
  socket.on('disconnect', () => {
    for (const link of [...held.values()]) link.close();
  });

  const find = (sessionId: string): Link => {
    const link = held.get(sessionId);
    if (link) return link;
    throw new ApiError('not_found', 'This connection carries no such session: send session:attach first.');
  };

  /** Attaches this socket to a session, and replaces its previous attachment to it. */
  const attach = async (
    address: SessionAddress,
    head: Extract<ToSessionHost, { t: 'open' | 'attach' }>,
    reply: (ack: Ack<object>) => void,
  ): Promise<void> => {
    const sessionId = sessionIdOf(address);
    held.get(sessionId)?.close();
    if (held.size + opening >= LIMITS.sessionsPerSocket) {
      throw new ApiError(
        'quota_exceeded',
        `A socket may carry ${LIMITS.sessionsPerSocket} sessions: end one first.`,
      );
    }
    opening += 1;
    try {
      const link = await sessions.link(address, socketClient(socket, sessionId), () => {
        if (held.get(sessionId) === link) held.delete(sessionId);
      });
      // Registered before the request: a frame of the host may follow its answer at once.
      held.get(sessionId)?.close();
      held.set(sessionId, link);
      const { incarnation, expiresAt } = await link.request(head);
      if (!socket.connected) return link.close();
      const ack = { sessionId, incarnation, expiresAt: new Date(expiresAt).toISOString() };
      reply({ ok: true, ...ack });
      link.begin();
    } finally {
      opening -= 1;
    }
  };

  inbound.on('session:open', CLIENT_EVENTS['session:open'].argument, async (argument, reply) => {
    const { address, head } = await prepareOpening({ recordSources, lookups }, ticket, argument);
    await attach(address, head, reply);
  });

  inbound.on('session:attach', CLIENT_EVENTS['session:attach'].argument, async (argument, reply) => {
    const address = readSessionId(argument.sessionId);
    lookups.take(ticket.sub);
    if (!address || !isId(address.callId) || ticket.containerId !== undefined) throw notFound();
    await openDesktop(recordSources, ticket, address.containerId).catch((error: unknown): never => {
      throw error instanceof ApiError && error.code === 'not_found' ? notFound() : error;
    });
    const { received } = argument;
    await attach(address, { t: 'attach', userId: ticket.sub, received }, reply);
  });

  handleBytes(inbound, find);
}

/** Handles the events of an attached session: its bytes, acknowledgements and abort. */
function handleBytes(inbound: Inbound, find: (sessionId: string) => Link): void {
  // Bounded by credit, and by the packets of a connection: the client would only send a dropped frame again.
  const frames = new Bucket(LIMITS.packetsPerSecond, LIMITS.packetsBurst);
  inbound.on(
    'session:data',
    CLIENT_EVENTS['session:data'].argument,
    async ({ sessionId, offset, bytes }) => find(sessionId).send({ t: 'data', offset }, bytes),
    frames,
  );
  inbound.on(
    'session:end',
    CLIENT_EVENTS['session:end'].argument,
    async ({ sessionId, offset }) => find(sessionId).send({ t: 'end', offset }),
    frames,
  );
  inbound.on(
    'session:ack',
    CLIENT_EVENTS['session:ack'].argument,
    async ({ sessionId, ...ack }) => find(sessionId).send({ t: 'ack', ...ack }),
    frames,
  );
  inbound.on('session:abort', CLIENT_EVENTS['session:abort'].argument, async (argument, reply) => {
    const { sessionId, message = 'The client aborted the session.' } = argument;
    void find(sessionId).send({ t: 'abort', message });
    reply({ ok: true });
  });
}

/** A socket as the client of a session. */
const socketClient = (socket: RelaySocket, sessionId: string): LinkClient => ({
  userId: socket.data.ticket.sub,
  // Counts the unsent bytes of the connection, because a client may acknowledge bytes that it has not read.
  isCrowded: () => {
    const { wire, outlet } = socket.data;
    return wire.unsentBytes > LIMITS.sessionSocketBytes || !outlet.takesFrames;
  },
  receive: ({ t, ...frame }) => socket.emit(`session:${t}`, { sessionId, ...frame }),
  closed: (ended) => socket.emit('session:closed', { sessionId, ...ended }),
  detached: (reason) => socket.emit('session:detached', { sessionId, reason }),
});

const notFound = () => new ApiError('not_found', 'There is no such session: open another one.');
