import { createServer, type Server } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Runs `work` while no other process of this machine runs under the same name. The lock is a listening
 * abstract unix socket: the kernel gives it to one process and frees it when that process ends, however it
 * ends.
 * @throws Error when the lock is not free within `withinMs`
 */
export async function withLock<T>(name: string, withinMs: number, work: () => Promise<T>): Promise<T> {
  const deadline = Date.now() + withinMs;
  let server = await tryListen(name);
  while (!server) {
    if (Date.now() > deadline) {
      throw new Error(`another process has held the lock "${name}" for ${Math.round(withinMs / 1000)} s`);
    }
    await sleep(100);
    server = await tryListen(name);
  }
  try {
    return await work();
  } finally {
    server.close();
  }
}

function tryListen(name: string): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EADDRINUSE' ? resolve(undefined) : reject(error),
    );
    server.listen(`\0warmwind-${name}`, () => resolve(server));
  });
}
