import { once } from 'node:events';
import { createServer, connect as dial, type Socket } from 'node:net';
import type { Stall, StallPoint } from './stall.ts';

/** A port in front of a Redis that stops at a command with a chosen text, as if the machine had stopped there. */
export type RedisProxy = {
  url: string;
  /** @param text bytes of the command, as Redis reads them: see `resp` */
  stallAt: (text: string, point: StallPoint) => Stall;
  /** Ends all connections and accepts none until `resume`. */
  interrupt: () => void;
  resume: () => void;
  stop: () => void;
};

/** Consecutive arguments of a command as they are sent. */
export const resp = (...args: string[]): string =>
  args.map((arg) => `$${Buffer.byteLength(arg)}\r\n${arg}\r\n`).join('');

/** Starts a proxy in front of the Redis on a loopback port. */
export async function startRedisProxy(port: number): Promise<RedisProxy> {
  const sockets = new Set<Socket>();
  let isInterrupted = false;
  let armed: { text: string; point: StallPoint; reach: () => void } | undefined;
  const server = createServer((client) => {
    if (isInterrupted) {
      client.on('error', () => undefined).destroy();
      return;
    }
    const upstream = dial(port, '127.0.0.1');
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    upstream.pipe(client);
    client.on('data', (data) => {
      const stalled = armed && data.includes(armed.text) ? armed : undefined;
      if (!stalled) {
        upstream.write(data);
        return;
      }
      armed = undefined;
      client.pause();
      if (stalled.point === 'before') return stalled.reach();
      upstream.unpipe(client);
      upstream.once('data', stalled.reach).resume();
      upstream.write(data);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  return {
    url: `redis://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`,
    stallAt: (text, point) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      armed = { text, point, reach: resolve };
      return { reached: promise };
    },
    interrupt: () => {
      isInterrupted = true;
      for (const socket of sockets) socket.destroy();
    },
    resume: () => {
      isInterrupted = false;
    },
    stop: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
