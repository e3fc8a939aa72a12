import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { JobFailureError } from '../runtime/failures.ts';

/** Linux: opens a handle to the file itself, not its content. Node has no constant for it. */
const O_PATH = 0o10000000;
const GREETING = /^RFB 003\.00[378]\n$/;
const GREETING_BYTES = 12;
const RETRY_MS = 10;
const ANSWER_MS = 1000;

/**
 * Opens a handle to a socket without following links. The container owns the directory of its socket, so the
 * path is hostile: a link there could lead to any socket of the host. Connect to `path` while the handle is
 * open.
 * @throws when the file is not a socket
 */
async function pinSocket(path: string): Promise<{ handle: FileHandle; path: string }> {
  const handle = await open(path, O_PATH | constants.O_NOFOLLOW);
  const isSocket = await handle.stat().then(
    (stat) => stat.isSocket(),
    () => false,
  );
  if (!isSocket) {
    await handle.close();
    throw new Error('not a socket');
  }
  return { handle, path: `/proc/self/fd/${handle.fd}` };
}

/** Connects to a desktop's socket within `withinMs`. A later error without a listener raises no exception. */
export async function openSocket(socketPath: string, withinMs: number): Promise<Socket> {
  const pinned = await pinSocket(socketPath);
  try {
    return await new Promise((resolve, reject) => {
      const socket = connect(pinned.path);
      const timer = setTimeout(() => socket.destroy(new Error('no connection in time')), withinMs);
      socket.on('error', reject);
      socket.once('close', () => clearTimeout(timer));
      socket.once('connect', () => {
        clearTimeout(timer);
        resolve(socket);
      });
    });
  } finally {
    await pinned.handle.close();
  }
}

/** Reads the server's greeting: 12 bytes, within `withinMs`. */
export async function readGreeting(socketPath: string, withinMs = ANSWER_MS): Promise<string> {
  const socket = await openSocket(socketPath, withinMs);
  return new Promise((resolve, reject) => {
    let text = '';
    const timer = setTimeout(() => socket.destroy(new Error('no greeting')), withinMs);
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1', 0, GREETING_BYTES);
      if (text.length < GREETING_BYTES) return;
      const greeting = text.slice(0, GREETING_BYTES);
      if (GREETING.test(greeting)) resolve(greeting);
      socket.destroy(new Error('not an RFB server'));
    });
    socket.on('error', reject);
    socket.on('close', () => {
      clearTimeout(timer);
      reject(new Error('closed before the greeting'));
    });
  });
}

/**
 * Waits for the desktop's RFB greeting.
 * @param withinMs after this time it fails with `desktop_silent`
 * @param signal rejects at once when aborted
 * @param alive when it returns false, the wait fails with `desktop_exited`
 */
export async function waitForGreeting(
  socketPath: string,
  { withinMs, signal, alive }: { withinMs: number; signal: AbortSignal; alive: () => Promise<boolean> },
): Promise<void> {
  const deadline = Date.now() + withinMs;
  let asked = Date.now();
  for (;;) {
    signal.throwIfAborted();
    const greeted = await readGreeting(socketPath).then(
      () => true,
      () => false,
    );
    if (greeted) return;
    if (Date.now() > deadline) throw new JobFailureError('desktop_silent');
    if (Date.now() - asked > 500) {
      if (!(await alive())) throw new JobFailureError('desktop_exited');
      asked = Date.now();
    }
    await sleep(RETRY_MS, undefined, { signal });
  }
}
