import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, connect as dial } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createLog } from '@warmwind/shared/runtime/node/log';
import { connectFailFast, connectQueueing } from '@warmwind/shared/runtime/node/redis';
import { WebSocket, WebSocketServer } from 'ws';
import { startRedis } from '../../testing/redis.ts';
import { cpuMs } from './desktop.ts';

/**
 * Measures the minimum cost of the path to one viewer (`npm run bench:floor`). One process copies bytes from
 * a socket to Redis, another from Redis to a WebSocket, at the size and rate of the animation's updates,
 * without processing them.
 */
const BYTES = 2700;
const PER_SECOND = 30;
const SECONDS = {
  warmUp: Number(process.env.WARM_UP_SECONDS ?? 30),
  measured: Number(process.env.SECONDS ?? 10),
};
const CHANNEL = 'floor';

const [role, where = '', port = ''] = process.argv.slice(2);
const log = createLog('floor');
if (role === 'bridge') {
  const redis = connectFailFast(where, 'bridge', log);
  // Before that it refuses commands.
  await once(redis, 'ready');
  dial(port).on('data', (bytes) => void redis.spublish(CHANNEL, bytes));
} else if (role === 'relay') {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  await once(server, 'listening');
  const redis = connectQueueing(where, 'relay', log);
  redis.on('smessageBuffer', (_channel: Buffer, bytes: Buffer) => {
    for (const socket of server.clients) socket.send(bytes);
  });
  await redis.ssubscribe(CHANNEL);
  process.send?.((server.address() as { port: number }).port);
} else await measure();
if (role) process.on('disconnect', () => process.exit(0));

async function measure(): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'floor-'));
  const redis = await startRedis();
  const source = createServer((socket) => {
    const timer = setInterval(() => socket.write(Buffer.alloc(BYTES, 1)), 1000 / PER_SECOND);
    socket.on('error', () => clearInterval(timer));
  }).listen(join(dir, 's'));
  const start = (...args: string[]) => fork(new URL(import.meta.url), args);
  const relay = start('relay', redis.url);
  const [relayPort] = await once(relay, 'message');
  const viewer = new WebSocket(`ws://127.0.0.1:${relayPort}`);
  let seen = 0;
  viewer.on('message', () => seen++);
  const bridge = start('bridge', redis.url, join(dir, 's'));
  const pids = {
    bridge: bridge.pid ?? 0,
    relay: relay.pid ?? 0,
    redis: Number(/process_id:(\d+)/.exec(await redis.client.info('server'))?.[1]),
  };
  await sleep(SECONDS.warmUp * 1000);
  const usage = () => Promise.all(Object.values(pids).map(cpuMs));
  const [before, seenBefore] = [await usage(), seen];
  await sleep(SECONDS.measured * 1000);
  const after = await usage();
  const each = after.map((ms, n) => (ms - (before[n] ?? 0)) / SECONDS.measured);
  console.log(`${(seen - seenBefore) / SECONDS.measured} messages a second; ms of CPU a second:`);
  for (const [n, name] of Object.keys(pids).entries()) console.log(`  ${name} ${each[n]?.toFixed(1)}`);
  viewer.terminate();
  const gone = [bridge, relay].map((child) => once(child, 'exit'));
  bridge.disconnect();
  relay.disconnect();
  await Promise.all(gone);
  source.close();
  await redis.stop();
  await rm(dir, { recursive: true });
  process.exit(0);
}
