import { setTimeout as sleep } from 'node:timers/promises';
import type { Draining } from '@warmwind/shared/contract/tickets';
import type { Connections } from './connections.ts';
import { LIMITS } from './limits.ts';
import type { RelayServer } from './sockets/socket.ts';

/**
 * Notifies every socket, then closes sockets and streams one after another, so that their clients do not all
 * reconnect to the other nodes at once.
 * @param atMostMs bound on the time that this takes
 */
export async function drainConnections(
  io: RelayServer,
  connections: Connections,
  atMostMs: number,
): Promise<void> {
  const open = connections.all();
  const withinMs = Math.min(open.length * LIMITS.drainStepMs, LIMITS.drainMs, atMostMs);
  io.local.emit('relay:draining', { withinMs } satisfies Draining);
  const began = performance.now();
  for (const [i, connection] of open.entries()) {
    const due = began + (withinMs * (i + 1)) / open.length;
    const wait = due - performance.now();
    if (wait > 1) await sleep(wait);
    connection.close();
  }
}
