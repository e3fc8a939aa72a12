import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { ApiError } from '@warmwind/shared/contract/errors';
import { newId } from '@warmwind/shared/contract/ids';
import { STREAM_PROTOCOL, type TicketClaims } from '@warmwind/shared/contract/tickets';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import { type WebSocket, WebSocketServer } from 'ws';
import { originRefusal } from '../auth/origin.ts';
import type { VerifyTicket } from '../auth/ticket.ts';
import type { Connections } from '../connections.ts';
import { LIMITS } from '../limits.ts';
import type { Metrics } from '../metrics.ts';
import type { RecordSources } from '../rooms/records.ts';
import { NodeSession } from '../sessions/node-session.ts';
import { prepareOpening } from '../sessions/opening.ts';
import type { Sessions } from '../sessions/sessions.ts';
import type { Rates } from '../shares.ts';
import { carrySession } from './carry.ts';
import { offeredTicket, type StreamRequest, streamRequestOf } from './stream-request.ts';

export type StreamsContext = {
  /** Origins whose pages may connect. */
  origins: readonly string[];
  verify: VerifyTicket;
  connections: Connections;
  lookups: Rates;
  recordSources: RecordSources;
  sessions: Sessions;
  metrics: Metrics;
  log: Logger;
};

/** The WebSockets that carry one session each, as plain binary messages: RFB, and TCP to a port. */
export class Streams {
  readonly #o: StreamsContext;
  readonly #server: WebSocketServer;

  constructor(context: StreamsContext) {
    this.#o = context;
    const options = {
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: LIMITS.streamMessageBytes,
      maxFragments: LIMITS.inboundFragments,
      handleProtocols: () => STREAM_PROTOCOL,
    };
    this.#server = new WebSocketServer(options);
  }

  /** Handles an upgrade, if it is for a session. Never rejects. */
  readonly upgrade = async (request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> => {
    const wanted = streamRequestOf(request.url ?? '');
    if (!wanted) return;
    socket.on('error', ignore);
    let session: NodeSession | undefined;
    try {
      const ticket = await this.#admit(request);
      session = await this.#open(ticket, wanted);
      this.#accept(ticket, session, { request, socket, head });
    } catch (error) {
      session?.abort();
      if (!(error instanceof ApiError)) this.#o.log.error({ err: error }, 'stream not opened');
      const internal = new ApiError('internal', 'The stream could not be opened: try again.');
      refuse(socket, error instanceof ApiError ? error : internal);
    }
  };

  /** @throws ApiError `forbidden`, `unauthenticated` or `quota_exceeded` */
  async #admit({ headers }: IncomingMessage): Promise<TicketClaims> {
    const { origins, verify, connections, metrics } = this.#o;
    const foreign = originRefusal(headers, origins);
    if (foreign !== undefined) {
      metrics.refused.inc({ reason: 'origin' });
      throw new ApiError('forbidden', foreign);
    }
    const ticket = await verify(offeredTicket(headers['sec-websocket-protocol']));
    if (!ticket) {
      metrics.refused.inc({ reason: 'unauthenticated' });
      throw new ApiError(
        'unauthenticated',
        'Fetch a relay ticket from POST /realtime/token and offer the subprotocols "warmwind" and "ticket.<ticket>".',
      );
    }
    if (!connections.isFull(ticket)) return ticket;
    metrics.refused.inc({ reason: 'quota_exceeded' });
    const most = LIMITS.connectionsPerUser;
    throw new ApiError('quota_exceeded', `At most ${most} connections a user or share link: close some.`);
  }

  async #open(ticket: TicketClaims, wanted: StreamRequest): Promise<NodeSession> {
    return NodeSession.open(this.#o.sessions, await prepareOpening(this.#o, ticket, wanted));
  }

  #accept(
    ticket: TicketClaims,
    session: NodeSession,
    { request, socket, head }: { request: IncomingMessage; socket: Duplex; head: Buffer },
  ): void {
    const { connections, metrics } = this.#o;
    // A client that left meanwhile, or sends no valid handshake, gets no WebSocket.
    const gone = () => session.abort();
    socket.once('close', gone);
    if (socket.destroyed) gone();
    this.#server.handleUpgrade(request, socket, head, (ws: WebSocket) => {
      socket.off('close', gone);
      const left = connections.add({
        ticket,
        close: () => {
          ws.close(RECONNECT);
          session.abort();
        },
      });
      metrics.streams.inc();
      ws.once('close', () => {
        left();
        metrics.streams.dec();
      });
      carrySession(ws, session);
    });
  }
}

/** The close code of a server that goes away: the client may connect again. */
const RECONNECT = 1012;
const ignore = () => undefined;

/** Answers an upgrade with the flat body of an error. */
function refuse(socket: Duplex, error: ApiError): void {
  const body = JSON.stringify(error.body(newId()));
  const retryAfter = error.details.retryAfterMs;
  const headers = [
    `HTTP/1.1 ${error.status} ${error.code}`,
    'Connection: close',
    'Cache-Control: no-store',
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    ...(error.code === 'unauthenticated' ? ['WWW-Authenticate: Bearer realm="warmwind-relay"'] : []),
    ...(retryAfter === undefined ? [] : [`Retry-After: ${Math.ceil(retryAfter / 1000)}`]),
  ];
  socket.end(`${headers.join('\r\n')}\r\n\r\n${body}`);
}
