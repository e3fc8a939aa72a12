import { constants } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import { connect, type Socket } from 'node:net';
import { dirname } from 'node:path';
import type { Readable } from 'node:stream';
import { SupervisorError } from './error.ts';

/** Linux: opens a handle to the file itself, not its content. Node has no constant for it. */
const O_PATH = 0o10000000;
const ROOT = 0;
const CONNECT_MS = 5000;
const MAX_HEADER_BYTES = 16 * 1024;

export type SupervisorRequest = {
  method: 'GET' | 'PUT' | 'POST' | 'DELETE';
  path: string;
  headers?: Record<string, string>;
  body?: string | Buffer | Readable;
  /** The time until the headers of the answer, ms. */
  timeoutMs: number;
  /** The time-out begins again when it ends while this returns true. */
  isFrozen?: () => boolean;
  signal?: AbortSignal | undefined;
};

const NO_SUPERVISOR =
  'The container has no supervisor: an earlier release started it, or its image has none. Start a new container.';

/**
 * Opens a handle to the supervisor's socket without following links. The desktop may write to the directory, so
 * only a socket of root is trusted.
 * @throws SupervisorError `no_supervisor`, or `unreachable` when the container has ended
 */
async function pin(path: string): Promise<FileHandle> {
  let handle: FileHandle;
  try {
    handle = await open(path, O_PATH | constants.O_NOFOLLOW);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    const isMissing = code === 'ELOOP' || (code === 'ENOENT' && (await isMounted(dirname(path))));
    if (isMissing) throw new SupervisorError('no_supervisor', NO_SUPERVISOR);
    throw new SupervisorError('unreachable', UNREACHABLE, { cause: error });
  }
  const isTrusted = await handle.stat().then(
    (stat) => stat.isSocket() && stat.uid === ROOT,
    () => false,
  );
  if (isTrusted) return handle;
  await handle.close();
  throw new SupervisorError('no_supervisor', NO_SUPERVISOR);
}

/** Whether a directory is that of a volume in use: the engine unmounts it when its container ends. */
async function isMounted(directory: string): Promise<boolean> {
  const [volume, parent] = await Promise.all([stat(directory), stat(dirname(directory))]).catch(() => []);
  return volume?.dev !== parent?.dev;
}

const UNREACHABLE =
  'The container’s supervisor does not answer: it may have ended. Read the container again.';

/** Connects to a supervisor's socket. A later error without a listener raises no exception. */
async function openConnection(path: string, timeoutMs: number): Promise<Socket> {
  const handle = await pin(path);
  try {
    return await new Promise<Socket>((resolve, reject) => {
      const socket = connect(`/proc/self/fd/${handle.fd}`);
      const timer = setTimeout(() => socket.destroy(new Error('no connection in time')), timeoutMs);
      socket.on('error', (error) =>
        reject(new SupervisorError('unreachable', UNREACHABLE, { cause: error })),
      );
      socket.once('close', () => clearTimeout(timer));
      socket.once('connect', () => {
        clearTimeout(timer);
        resolve(socket);
      });
    });
  } finally {
    await handle.close();
  }
}

/**
 * Sends one request on a connection of its own.
 * @returns the answer, whose body must be read or destroyed
 * @throws SupervisorError `no_supervisor`, `unreachable`, `timeout`
 */
export async function sendRequest(socketPath: string, request: SupervisorRequest): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  await exchange(socketPath, request, {
    settle: (sent) => sent.once('response', resolve),
    reject,
    until: promise,
  });
  return promise;
}

export type Upgraded = { response: IncomingMessage; socket: Socket; head: Buffer };

/**
 * Asks for another protocol on a connection of its own.
 * @returns the connection, or the answer that refuses it
 */
export async function sendUpgrade(
  socketPath: string,
  protocol: string,
  request: SupervisorRequest,
): Promise<Upgraded | { refused: IncomingMessage }> {
  const { promise, resolve, reject } = Promise.withResolvers<Upgraded | { refused: IncomingMessage }>();
  const headers = { ...request.headers, Connection: 'Upgrade', Upgrade: protocol };
  await exchange(
    socketPath,
    { ...request, headers },
    {
      settle: (sent) =>
        sent
          .once('upgrade', (response, socket, head) => resolve({ response, socket: socket as Socket, head }))
          .once('response', (refused) => resolve({ refused })),
      reject,
      until: promise,
    },
  );
  return promise;
}

type Exchange = {
  settle: (sent: ReturnType<typeof httpRequest>) => void;
  reject: (error: Error) => void;
  /** Settles with the headers of the answer. */
  until: Promise<unknown>;
};

async function exchange(socketPath: string, request: SupervisorRequest, exchange: Exchange): Promise<void> {
  const { method, path, headers, body, timeoutMs, isFrozen = () => false, signal } = request;
  signal?.throwIfAborted();
  const socket = await openConnection(socketPath, Math.min(timeoutMs, CONNECT_MS));
  const options: RequestOptions = {
    ...{ method, path, headers: { Host: 'supervisor', ...headers } },
    createConnection: () => socket,
    maxHeaderSize: MAX_HEADER_BYTES,
  };
  const sent = httpRequest(options);
  const late = new SupervisorError(
    'timeout',
    'The container’s supervisor did not answer in time. Try again.',
  );
  const onLate = () => {
    if (isFrozen()) timer.refresh();
    else sent.destroy(late);
  };
  const timer = setTimeout(onLate, timeoutMs);
  const abort = () => sent.destroy(signal?.reason instanceof Error ? signal.reason : new Error('aborted'));
  signal?.addEventListener('abort', abort, { once: true });
  socket.once('close', () => signal?.removeEventListener('abort', abort));
  exchange.until.catch(() => undefined).finally(() => clearTimeout(timer));
  sent.on('error', (error) => {
    const known = error instanceof SupervisorError || signal?.aborted;
    exchange.reject(known ? error : new SupervisorError('unreachable', UNREACHABLE, { cause: error }));
  });
  exchange.settle(sent);
  if (body === undefined || typeof body === 'string' || Buffer.isBuffer(body)) sent.end(body);
  else body.on('error', (error) => sent.destroy(error)).pipe(sent);
}
