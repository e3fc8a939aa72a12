import type { Server as HttpServer } from 'node:http';
import { createShardedAdapter } from '@socket.io/redis-adapter';
import { readDepths } from '@warmwind/shared/node/depths';
import { FairGate } from '@warmwind/shared/node/fair-gate';
import { diskCheck, liveChecks, probeRoutes, redisCheck } from '@warmwind/shared/node/health';
import { Ledger } from '@warmwind/shared/node/ledger';
import type { Logger } from '@warmwind/shared/node/log';
import { connectPatient, connectPrompt, disconnect } from '@warmwind/shared/node/redis';
import { Screenshots } from '@warmwind/shared/node/screenshots';
import { QUEUES } from '@warmwind/shared/queues';
import type { Redis } from 'ioredis';
import { Server } from 'socket.io';
import { WebSocketServer } from 'ws';
import { Revocations } from './auth/revocations.ts';
import { ticketVerifier, unlessRevoked } from './auth/ticket.ts';
import type { Config } from './config.ts';
import { Connections } from './connections.ts';
import { drainConnections } from './drain.ts';
import { refuseUpgrade } from './draining.ts';
import { guard } from './http/guard.ts';
import { OpenAnswers } from './http/hold.ts';
import { createHttp, type Http } from './http/http.ts';
import { share } from './http/share.ts';
import { LIMITS } from './limits.ts';
import { Metrics } from './metrics.ts';
import { Outgoing } from './outgoing.ts';
import type { RoomContext } from './rooms/room.ts';
import { Rooms } from './rooms/rooms.ts';
import { readSnapshots } from './rooms/snapshot.ts';
import { jobEnd } from './routes/job-end.ts';
import { jobEvents } from './routes/job-events.ts';
import { screenshot } from './routes/screenshot.ts';
import { expelViewer, listViewers } from './routes/viewers.ts';
import { Pictures } from './screen/pictures.ts';
import { Screens } from './screen/screens.ts';
import { Holdings, Rates } from './shares.ts';
import { handleConnections } from './sockets/connection.ts';
import { guardFloods } from './sockets/guard.ts';
import type { RelayServer } from './sockets/socket.ts';
import { answerUpgrades, SOCKETS_PATH } from './sockets/upgrade.ts';

/** One relay node, not listening yet. */
export type Relay = {
  /** Health, metrics, and what tickets open over HTTP. */
  http: Http;
  io: RelayServer;
  metrics: Metrics;
  /** Serves sockets on a listening server. */
  attach: (server: HttpServer) => void;
  /** From here on ready answers `shutting_down` and no socket comes in. */
  beginDrain: () => void;
  /** Tells the sockets; closes them and the streams, spread over the time. */
  drain: () => Promise<void>;
  /** Closes what is left: sockets, server, Redis. */
  close: () => Promise<void>;
};

/** How long a subscription waits for the ledger, ms. */
const LEDGER_WITHIN_MS = 1500;

export function createRelay(config: Config, log: Logger): Relay {
  const metrics = new Metrics();
  const queue = connectPrompt(config.REDIS_QUEUE_URL, 'relay-queue', log);
  const realtime = connectPrompt(config.REDIS_REALTIME_URL, 'relay-realtime', log);
  const subscriber = connectPatient(config.REDIS_REALTIME_URL, 'relay-rooms', log);
  const nodes = quiet(connectPatient(config.REDIS_REALTIME_URL, 'relay-nodes', log));
  const frames = connectPatient(config.REDIS_REALTIME_URL, 'relay-screens', log);
  const revoked = connectPatient(config.REDIS_QUEUE_URL, 'relay-revoked', log);
  const ledger = config.LEDGER_URL
    ? new Ledger(config.LEDGER_URL, 'relay', log, LEDGER_WITHIN_MS)
    : undefined;
  const known = { queue, ledger, ledgerReads: new FairGate(LIMITS.ledgerReads) };
  metrics.watchRedis({ queue, realtime, subscriber, nodes, frames, revoked });

  let draining = false;
  const io: RelayServer = new Server({
    path: SOCKETS_PATH,
    serveClient: false,
    transports: ['websocket'],
    pingInterval: 25_000,
    pingTimeout: 20_000,
    connectTimeout: LIMITS.connectMs,
    maxHttpBufferSize: LIMITS.inboundBytes,
    perMessageDeflate: false,
    wsEngine: BoundedWebSocketServer,
    adapter: createShardedAdapter(realtime, nodes, { subscriptionMode: 'dynamic' }),
  });

  const room: RoomContext = {
    realtime,
    reading: new FairGate(LIMITS.reads),
    snapshots: (id, position) => readSnapshots(known, id, position),
    metrics,
    log,
  };
  const rooms = new Rooms(room, subscriber);
  metrics.count('rooms', () => rooms.size);
  const screens = new Screens({ io, realtime, metrics, log }, frames, known);
  metrics.count('viewers', () => screens.viewers);
  const secrets = [config.AUTH_SECRET, config.AUTH_SECRET_PREVIOUS ?? []].flat();
  const connections = new Connections();
  const outgoing = new Outgoing(metrics);
  const lookups = new Rates(LIMITS.lookups);
  const heldRooms = new Holdings(LIMITS.roomsPerSubject, 'rooms');
  const revocations = new Revocations(queue, revoked, connections, log);
  const verify = unlessRevoked(ticketVerifier(secrets), (ticket) => revocations.includes(ticket));
  const origins = [...config.CORS_ORIGINS, ...config.EDGE_ORIGINS];
  handleConnections(io, {
    origins,
    verify,
    connections,
    outgoing,
    lookups,
    heldRooms,
    known,
    rooms,
    room,
    screens,
    metrics,
    log,
  });

  const probes = {
    live: liveChecks(),
    ready: {
      redisQueue: redisCheck(queue),
      redisRealtime: redisCheck(realtime),
      queues: () => readDepths(queue, QUEUES, config.BACKPRESSURE_ABOVE),
      subscriptions: async () => {
        if (subscriber.status !== 'ready') throw new Error(`the subscriber is ${subscriber.status}`);
        return { rooms: rooms.size };
      },
      disk: diskCheck('/'),
    },
    registry: metrics.registry,
  };

  const isDraining = () => draining;
  const http = createHttp(log);
  http.route('/', probeRoutes(probes, isDraining));
  http.use('/jobs/*', guard(verify, isDraining, metrics));
  http.use('/containers/*', guard(verify, isDraining, metrics));
  http.use('/jobs/*', share(lookups));
  http.use('/containers/*', share(lookups));
  const answers = new OpenAnswers(connections, metrics);
  const jobs = { known, rooms, room, answers, outgoing };
  jobEvents(http, jobs);
  jobEnd(http, jobs);
  const screenshots = new Screenshots(realtime, config.REDIS_REALTIME_URL, LIMITS.pictures.atOnce, log);
  const pictures = new Pictures(screenshots);
  const containers = { known, realtime, screens, pictures, answers };
  listViewers(http, containers);
  expelViewer(http, containers);
  screenshot(http, containers);

  let server: HttpServer | undefined;
  return {
    http,
    io,
    metrics,
    attach: (listening) => {
      server = listening;
      io.attach(listening);
      answerUpgrades(listening);
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
      outgoing.close();
      rooms.close();
      screens.close();
      revocations.close();
      const connected = [queue, realtime, subscriber, nodes, frames, revoked];
      await Promise.all(connected.map((redis) => disconnect(redis)));
      await ledger?.close();
    },
  };
}

/** As Socket.IO makes it, and with a bound on the fragments of one message. */
class BoundedWebSocketServer extends WebSocketServer {
  constructor(options: ConstructorParameters<typeof WebSocketServer>[0]) {
    super({ ...options, maxFragments: LIMITS.inboundFragments } as typeof options);
  }
}

/** The adapter leaves the promises of its subscriptions alone: one that fails at close must not end the process. */
function quiet(redis: Redis): Redis {
  const ssubscribe = redis.ssubscribe.bind(redis) as (...channels: string[]) => Promise<unknown>;
  const sunsubscribe = redis.sunsubscribe.bind(redis) as (...channels: string[]) => Promise<unknown>;
  const ignore = () => undefined;
  return Object.assign(redis, {
    ssubscribe: (...channels: string[]) => ssubscribe(...channels).catch(ignore),
    sunsubscribe: (...channels: string[]) => sunsubscribe(...channels).catch(ignore),
  });
}
