import { setTimeout as sleep } from 'node:timers/promises';
import type { Draining } from '@warmwind/shared/realtime';
import { LIMITS } from '../limits.ts';
import { goodbye } from './connection.ts';
import type { RelayServer } from './socket.ts';

/**
 * Tells every socket, then closes them one after another, so that their clients do not all knock at the other nodes at
 * once. @param atMostMs the time this may take
 */
export async function drainSockets(io: RelayServer, atMostMs: number): Promise<void> {
  const sockets = [...io.of('/').sockets.values()];
  const withinMs = Math.min(sockets.length * LIMITS.drainStepMs, LIMITS.drainMs, atMostMs);
  io.local.emit('relay:draining', { withinMs } satisfies Draining);
  const began = performance.now();
  for (const [i, socket] of sockets.entries()) {
    const due = began + (withinMs * (i + 1)) / sockets.length;
    const wait = due - performance.now();
    if (wait > 1) await sleep(wait);
    goodbye(socket);
  }
}
