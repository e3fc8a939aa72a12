import { createServer, type Server, type Socket } from 'node:net';
import { backoff } from '../../runtime/backoff.ts';
import type { Connection } from '../client.ts';
import { pause } from '../pause.ts';
import { type ClientSession, SessionRefusedError } from '../session.ts';

/** Connections of one tunnel at a time: a client carries as many sessions. Further ones are closed. */
const MOST_CONNECTIONS = 16;
/** How often a session is opened while the relay can't be reached. */
const MOST_ATTEMPTS = 5;

/** Options of {@link openTunnel}. */
export type TunnelOptions = {
  /** A connection to the relay, with a ticket to control. */
  relay: Pick<Connection, 'session'>;
  containerId: string;
  /** A TCP port of the container's loopback, or `vnc` for its screen as plain RFB. */
  to: number | 'vnc';
  /** The port on 127.0.0.1 here. Default: a free one. */
  listen?: number;
};

/** An open port on 127.0.0.1 that leads into a container. */
export type Tunnel = {
  port: number;
  /** Closes the port and its connections. */
  close: () => Promise<void>;
};

/**
 * Opens a port on 127.0.0.1 whose connections lead to a port of a container, or to its screen for a stock VNC
 * viewer. A connection goes on when the relay restarts.
 *
 * @throws Error when the port is in use
 *
 * @example
 * const relay = connect({ url, token });
 * const { port } = await openTunnel({ relay, containerId, to: 9222 });
 * const browser = await chromium.connectOverCDP(`http://127.0.0.1:${port}`);
 */
export async function openTunnel({ relay, containerId, to, listen = 0 }: TunnelOptions): Promise<Tunnel> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.once('close', () => sockets.delete(socket));
    carry(relay, containerId, to, socket).catch(() => socket.destroy());
  });
  server.maxConnections = MOST_CONNECTIONS;
  const port = await listening(server, listen);
  return {
    port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

const listening = (server: Server, port: number): Promise<number> =>
  new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      const address = server.address();
      resolve(typeof address === 'object' && address ? address.port : port);
    });
  });

/** Carries one connection until both directions have ended, or one side fails. */
async function carry(
  relay: TunnelOptions['relay'],
  containerId: string,
  to: TunnelOptions['to'],
  socket: Socket,
): Promise<void> {
  const gone = new AbortController();
  socket.once('close', () => gone.abort());
  const { signal } = gone;
  const session = await openRetrying(
    (): Promise<Streams> =>
      to === 'vnc'
        ? relay.session('container.vnc', { containerId, signal })
        : relay.session('container.tunnel', { containerId, input: { port: to }, signal }),
  );
  await Promise.all([copyUp(socket, session), copyDown(session, socket)]);
}

type Streams = Pick<ClientSession, 'readable' | 'writable' | 'closed'>;

/** Opens a session; tries again while the relay can't be reached, because nothing was sent yet. */
async function openRetrying<Session>(open: () => Promise<Session>): Promise<Session> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await open();
    } catch (error) {
      const isAway = error instanceof SessionRefusedError && error.code === 'unavailable';
      if (!isAway || attempt === MOST_ATTEMPTS) throw error;
      await pause(backoff(attempt, { maxMs: 3000 }));
    }
  }
}

async function copyUp(socket: Socket, { writable }: Streams): Promise<void> {
  const writer = writable.getWriter();
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) await writer.write(chunk as Buffer);
  await writer.close();
}

async function copyDown({ readable, closed }: Streams, socket: Socket) {
  for await (const chunk of readable) {
    await new Promise<void>((resolve) => socket.write(chunk, () => resolve()));
  }
  // A session that failed ends the connection without the sign of a complete one.
  await closed;
  socket.end();
}
