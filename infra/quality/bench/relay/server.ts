import { once } from 'node:events';
import { listen } from '@warmwind/shared/runtime/node/health';
import { createLog } from '@warmwind/shared/runtime/node/log';
import { WebSocketServer } from 'ws';
import { createRelay } from '../../../../relay/app.ts';
import { readConfig } from '../../../../relay/config.ts';
import { clock } from './client.ts';

/**
 * The messages that a server's process accepts: report its usage, collect garbage first, or send to all
 * clients (bare server only). It answers `usage` and `collect` with its `Usage`.
 */
export type ServerMessage =
  | 'usage'
  | 'collect'
  | { broadcast: { bytes: number; times: number; everyMs: number } };
export type Usage = { port: number; cpuMs: number; rssMb: number };

const port = process.argv[2] === 'relay' ? await startRelay() : await startBare();

async function startRelay(): Promise<number> {
  const relay = createRelay(readConfig(process.env), createLog('relay'));
  const { server, port } = await listen(relay.http, '127.0.0.1', 0);
  relay.attach(server);
  return port;
}

/** Starts a server of `ws` alone that sends to every client and parses their acknowledgements. */
async function startBare(): Promise<number> {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false });
  const acked = new WeakMap<object, unknown>();
  server.on('connection', (ws) => {
    ws.on('message', (data: Buffer) => acked.set(ws, JSON.parse(data.toString())));
  });
  process.on('message', async (message: ServerMessage) => {
    if (typeof message === 'string') return;
    const { bytes, times, everyMs } = message.broadcast;
    let left = times;
    const timer = setInterval(() => {
      const data = bytes > 0 ? frame(bytes) : JSON.stringify(event());
      for (const ws of server.clients) ws.send(data);
      left -= 1;
      if (left > 0) return;
      clearInterval(timer);
      process.send?.('sent');
    }, everyMs);
  });
  await once(server, 'listening');
  const address = server.address();
  return typeof address === 'object' && address ? address.port : 0;
}

function frame(bytes: number): Buffer {
  const buffer = Buffer.alloc(bytes, 7);
  buffer.writeBigUInt64LE(clock(), 0);
  return buffer;
}

/** An event like those of a job. */
const event = () => ({
  id: '1764000000000-0',
  room: 'job:00000000-0000-4000-8000-000000000000',
  type: 'job.progress',
  run: 1,
  time: new Date().toISOString(),
  data: { jobId: '00000000-0000-4000-8000-000000000000', percent: 50, sentAt: `${clock()}` },
});

process.on('message', (message: ServerMessage) => {
  if (typeof message !== 'string') return;
  if (message === 'collect') globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' });
  process.send?.(usage());
});
process.on('disconnect', () => process.exit(0));
process.send?.(usage());

function usage(): Usage {
  const { user, system } = process.cpuUsage();
  return { port, cpuMs: (user + system) / 1000, rssMb: process.memoryUsage().rss / 2 ** 20 };
}
