import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Stall, StallPoint } from './stall.ts';

/** A request to the engine: `/v1.41/containers/<id>/start`. */
type EngineCall = { method: string; path: RegExp };

/** A unix socket in front of an engine that stops at a chosen call, as if the machine had stopped there. */
export type EngineProxy = {
  socket: string;
  stallAt: (call: EngineCall, point: StallPoint) => Stall;
  stop: () => Promise<void>;
};

/** Starts a proxy in front of the engine at `target`. */
export async function startEngineProxy(target: string): Promise<EngineProxy> {
  const folder = await mkdtemp(join(tmpdir(), 'ww-proxy-'));
  const socket = join(folder, 's');
  let armed: { call: EngineCall; point: StallPoint; reach: () => void } | undefined;
  const take = (asked: IncomingMessage) => {
    const match = armed && asked.method === armed.call.method && armed.call.path.test(asked.url ?? '');
    const taken = match ? armed : undefined;
    if (taken) armed = undefined;
    return taken;
  };
  const server = createServer((asked: IncomingMessage, answer: ServerResponse) => {
    const stalled = take(asked);
    if (stalled?.point === 'before') return stalled.reach();
    const { method = 'GET', url = '/', headers } = asked;
    const forwarded = request({ socketPath: target, method, path: url, headers }, (response) => {
      if (!stalled) {
        answer.writeHead(response.statusCode ?? 502, response.headers);
        response.pipe(answer);
        return;
      }
      // The engine has answered: the call has taken effect, and its caller will not learn it.
      response.resume().once('end', stalled.reach);
    });
    forwarded.on('error', () => answer.destroy());
    answer.on('close', () => forwarded.destroy());
    asked.pipe(forwarded);
  });
  server.listen(socket);
  await once(server, 'listening');
  return {
    socket,
    stallAt: (call, point) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      armed = { call, point, reach: resolve };
      return { reached: promise };
    },
    stop: async () => {
      server.closeAllConnections();
      server.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
