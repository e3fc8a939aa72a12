import type { Server as HttpServer } from 'node:http';
import type { CallCommand } from '@warmwind/shared/contract/command';
import { CALL_COMMANDS } from '@warmwind/shared/contract/registry';
import { Caller } from '@warmwind/shared/engine/node/caller';
import { FairGate } from '@warmwind/shared/runtime/node/fair-gate';
import { probeRoutes } from '@warmwind/shared/runtime/node/health';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import { Revocations } from './auth/revocations.ts';
import { ticketVerifier, unlessRevoked } from './auth/ticket.ts';
import { Calls } from './calls/calls.ts';
import { CallLimiter } from './calls/limiter.ts';
import type { Config } from './config.ts';
import { Connections } from './connections.ts';
import { drainConnections } from './drain.ts';
import { refuseUpgrade } from './draining.ts';
import { OpenAnswers } from './http/hold.ts';
import { createHttp, type Http } from './http/http.ts';
import { LIMITS } from './limits.ts';
import { Metrics } from './metrics.ts';
import { Outgoing } from './outgoing.ts';
import { createProbes } from './probes.ts';
import type { RoomContext } from './rooms/room.ts';
import { Rooms } from './rooms/rooms.ts';
import { readSnapshots } from './rooms/snapshot.ts';
import { ticketRoutes } from './routes/routes.ts';
import { Screens } from './screen/screens.ts';
import { Sessions } from './sessions/sessions.ts';
import { Holdings, Rates } from './shares.ts';
import { handleConnections } from './sockets/connection.ts';
import { guardFloods } from './sockets/guard.ts';
import { createSocketServer } from './sockets/server.ts';
import type { RelayServer } from './sockets/socket.ts';
import { Streams } from './sockets/streams.ts';
import { attachSockets } from './sockets/upgrade.ts';
import { createStores } from './stores.ts';

/** One relay node, not listening yet. */
export type Relay = {
  /** Health, metrics, and the routes that a ticket opens over HTTP. */
  http: Http;
  io: RelayServer;
  metrics: Metrics;
  /** Serves sockets on a listening server. */
  attach: (server: HttpServer) => void;
  /** Makes readiness answer `shutting_down`, and refuses new sockets. */
  beginDrain: () => void;
  /** Notifies the sockets, then closes them and the streams, spread over time. */
  drain: () => Promise<void>;
  /** Closes the remaining sockets, the server and the connections to Redis. */
  close: () => Promise<void>;
};

/**
 * Wires one relay node.
 * @param commands the calls that it relays
 */
export function createRelay(
  config: Config,
  log: Logger,
  commands: readonly CallCommand[] = CALL_COMMANDS,
): Relay {
  const metrics = new Metrics();
  const stores = createStores(config, metrics, log);
  const { recordSources, realtime } = stores;
  const io = createSocketServer(stores);
  const connections = new Connections();
  const outgoing = new Outgoing(metrics);
  const lookups = new Rates(LIMITS.lookups);
  const heldRooms = new Holdings(LIMITS.roomsPerSubject, 'rooms');

  const room: RoomContext = {
    realtime,
    reading: new FairGate(LIMITS.reads),
    snapshots: (id, position) => readSnapshots(recordSources, id, position),
    metrics,
    log,
  };
  const rooms = new Rooms(room, stores.subscriber);
  const screens = new Screens({ io, realtime, metrics, log }, stores.frames, recordSources);
  metrics.count('rooms', () => rooms.size);
  metrics.count('viewers', () => screens.viewers);
  const sessions = new Sessions(stores.sessionsUp, stores.sessionsDown, log);
  metrics.count('sessions', () => sessions.size);

  const { bulk, replies: subscriber } = stores;
  const calls = new Calls(new Caller({ redis: realtime, bulk, subscriber, log }));
  metrics.count('calls', () => calls.open);
  const callLimiter = new CallLimiter(stores.queue, config.RATE_LIMITS);

  const secrets = [config.AUTH_SECRET, config.AUTH_SECRET_PREVIOUS ?? []].flat();
  const revocations = new Revocations(stores.queue, stores.revoked, connections, log);
  const verify = unlessRevoked(ticketVerifier(secrets), (ticket) => revocations.includes(ticket));
  const origins = [...config.CORS_ORIGINS, ...config.EDGE_ORIGINS];
  const sources = { recordSources, rooms, room, screens, sessions, lookups };
  const shared = { ...sources, connections, outgoing, verify, metrics, log };
  handleConnections(io, { ...shared, origins, heldRooms, calls, callLimiter });
  const streams = new Streams({ ...shared, origins });

  let draining = false;
  const isDraining = () => draining;
  const http = createHttp(log);
  http.route('/', probeRoutes(createProbes(config, { stores, rooms, metrics }), isDraining));
  const answers = new OpenAnswers(connections, metrics);
  ticketRoutes(http, { ...shared, realtime, answers, calls, commands, isDraining });

  let server: HttpServer | undefined;
  return {
    http,
    io,
    metrics,
    attach: (listening) => {
      server = listening;
      listening.requestTimeout = LIMITS.requestMs;
      attachSockets(listening, io, streams);
      guardFloods(io, metrics);
    },
    beginDrain: () => {
      draining = true;
      server?.removeAllListeners('upgrade');
      server?.on('upgrade', refuseUpgrade);
    },
    drain: () => drainConnections(io, connections, config.SHUTDOWN_TIMEOUT_MS * 0.4),
    close: async () => {
      await io.close();
      for (const part of [outgoing, rooms, screens, sessions, revocations]) part.close();
      await stores.close();
    },
  };
}
