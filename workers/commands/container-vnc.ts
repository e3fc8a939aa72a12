import type { Socket } from 'node:net';
import type { ScreenInput } from '@warmwind/shared/contract/screen';
import type { SessionResults } from '@warmwind/shared/contract/sessions/registry';
import type { Redis } from 'ioredis';
import { openSocket } from '../containers/rfb.ts';
import type { ScreenHost } from '../screen/host.ts';
import { InputGate } from '../screen/input.ts';
import { readClientMessage } from '../screen/rfb/client-messages.ts';
import { ProtocolError } from '../screen/rfb/feed.ts';
import { keyEvent, pointerEvent } from '../screen/rfb/messages.ts';
import { SessionControl } from '../sessions/control.ts';
import { type SessionContext, SessionEndedError, type SessionHandler } from '../sessions/handler.ts';
import { ByteReader, EndOfBytesError } from '../sessions/reader.ts';

const CONNECT_MS = 5000;
/** How long a desktop may take to read the last bytes, ms. */
const FLUSH_MS = 1000;
const VERSIONS = ['RFB 003.003\n', 'RFB 003.007\n', 'RFB 003.008\n'];
const NO_AUTHENTICATION = 1;
const SHARED = 1;

type Result = SessionResults['container.vnc'];
/** Input with the RFB message that carried it. */
type Sent = ScreenInput & { message?: Buffer };

/** Creates the handler of `container.vnc`. @param redis the realtime Redis, a fail-fast connection */
export const createVnc =
  (screens: ScreenHost, redis: Redis): SessionHandler<unknown, Result> =>
  async (session) => {
    const { signal, writable } = session;
    const socket = await openSocket(await session.socketPath(), CONNECT_MS);
    const input = new VncInput(session, screens, redis, socket);
    // Pressed keys and buttons are released before the desktop sees the end of its client.
    const hangUp = () => input.release().then(() => socket.end());
    signal.addEventListener('abort', hangUp, { once: true });
    const failed = Promise.withResolvers<never>();
    copyClient(session, socket, input).then(hangUp, failed.reject);
    try {
      signal.throwIfAborted();
      await Promise.race([copyDesktop(socket, writable), failed.promise]);
      return { inputsDropped: input.dropped };
    } finally {
      signal.removeEventListener('abort', hangUp);
      await input.close();
      socket.destroySoon();
      setTimeout(() => socket.destroy(), FLUSH_MS).unref();
    }
  };

/** Copies the desktop's bytes, as fast as the client takes them, until the desktop ends. */
async function copyDesktop(socket: Socket, writable: WritableStream<Uint8Array>): Promise<void> {
  const writer = writable.getWriter();
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) await writer.write(chunk as Buffer);
}

/** Copies the client's messages, one by one, until the client ends. */
async function copyClient({ readable }: SessionContext, socket: Socket, input: VncInput): Promise<void> {
  const { read } = new ByteReader(readable);
  try {
    await greet(read, socket);
    for (;;) {
      const { bytes, input: given } = await readClientMessage(read);
      if (given) await input.take(given, bytes);
      else await send(socket, bytes);
    }
  } catch (error) {
    if (error instanceof EndOfBytesError || socket.destroyed) return;
    if (error instanceof ProtocolError) throw new SessionEndedError('protocol_error', `${error.message}.`);
    throw error;
  }
}

/**
 * Copies the client's handshake, from the version to the initialisation. It is always shared: a client never
 * disconnects others.
 */
async function greet(read: (count: number) => Promise<Buffer>, socket: Socket): Promise<void> {
  const version = await read(12);
  if (!VERSIONS.includes(version.toString('latin1')))
    throw new ProtocolError('The RFB version must be 3.3, 3.7 or 3.8');
  await send(socket, version);
  if (version.toString('latin1') !== VERSIONS[0]) {
    const security = await read(1);
    if (security[0] !== NO_AUTHENTICATION) throw new ProtocolError('Only the security type None is offered');
    await send(socket, security);
  }
  await read(1);
  await send(socket, Buffer.of(SHARED));
}

/** Sends bytes; resolves when the desktop has taken them, so that a slow desktop slows its client. */
function send(socket: Socket, bytes: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.write(bytes, (error) => (error ? reject(error) : resolve()));
  });
}

/** The input of one session: keys, pointer, clipboard and size. It passes while the session holds control. */
class VncInput {
  readonly #socket: Socket;
  readonly #viewerId: string;
  readonly #control: SessionControl;
  readonly #gate: InputGate;
  readonly #leave: () => void;
  readonly #isPaused: () => boolean;
  readonly #keys = new Set<number>();
  #mask = 0;
  /** Inputs dropped; moves of the pointer do not count. */
  dropped = 0;

  constructor(session: SessionContext, screens: ScreenHost, redis: Redis, socket: Socket) {
    const { containerId, userId, sessionId } = session;
    this.#socket = socket;
    this.#viewerId = sessionId;
    this.#control = new SessionControl({ redis, containerId, userId, viewerId: sessionId });
    const onDropped = (_viewerId: string, _reason: string, moved: boolean) => {
      if (!moved) this.dropped += 1;
    };
    this.#gate = new InputGate({ redis, containerId, onDropped });
    this.#gate.attach({ send: (input) => this.#send(input) }, false);
    this.#leave = screens.addGate(containerId, this.#gate);
    this.#isPaused = () => screens.isPaused(containerId);
  }

  async take(input: ScreenInput, message: Buffer): Promise<void> {
    const presses = this.#presses(input);
    const moved = input.t === 'ptr' && input.mask === this.#mask;
    if (input.t === 'ptr') this.#mask = input.mask;
    const lease = await this.#control.lease(presses);
    if (lease > 0) {
      const sent: Sent = { ...input, message };
      this.#gate.take({ viewerId: this.#viewerId, lease, input: sent });
    } else if (!moved) this.dropped += 1;
  }

  /** Releases pressed keys and buttons. Never rejects. */
  release(): Promise<void> {
    return this.#gate.release();
  }

  /** Releases pressed keys and buttons, then control. Never rejects. */
  async close(): Promise<void> {
    this.#leave();
    await this.release();
    this.#gate.close();
    await this.#control.close();
  }

  #presses(input: ScreenInput): boolean {
    if (input.t === 'ptr') return (input.mask & ~this.#mask) !== 0;
    if (input.t !== 'key') return false;
    const isDown = this.#keys.has(input.keysym);
    if (input.down && this.#keys.size < 64) this.#keys.add(input.keysym);
    else this.#keys.delete(input.keysym);
    return input.down && !isDown;
  }

  /** Releases made by the gate carry no message. */
  #send(input: Sent): boolean {
    if (this.#socket.destroyed || !this.#socket.writable) return false;
    const { message } = input;
    // A paused desktop would read it much later. Releases of the gate have no message.
    if (message && this.#isPaused()) return false;
    if (message) this.#socket.write(message);
    else if (input.t === 'key') this.#socket.write(keyEvent(input.keysym, input.down));
    else if (input.t === 'ptr') this.#socket.write(pointerEvent(input.x, input.y, input.mask));
    return true;
  }
}
