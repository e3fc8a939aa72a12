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
/** How long a desktop may take to read what was sent last, ms. */
const FLUSH_MS = 1000;
const VERSIONS = ['RFB 003.003\n', 'RFB 003.007\n', 'RFB 003.008\n'];
const NO_AUTHENTICATION = 1;
const SHARED = 1;

type Result = SessionResults['container.vnc'];
/** Input with the message that it came in. */
type Sent = ScreenInput & { message?: Buffer };

/** @param redis the realtime Redis, a prompt connection */
export const createVnc =
  (screens: ScreenHost, redis: Redis): SessionHandler<unknown, Result> =>
  async (session) => {
    const { signal, writable } = session;
    const socket = await openSocket(await session.socketPath(), CONNECT_MS);
    const input = new VncInput(session, screens, redis, socket);
    // What is pressed is released before the desktop sees the end of its client.
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

/** Copies what the desktop sends, as fast as the client takes it, until it ends. */
async function copyDesktop(socket: Socket, writable: WritableStream<Uint8Array>): Promise<void> {
  const writer = writable.getWriter();
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) await writer.write(chunk as Buffer);
}

/** Copies what the client sends, message by message, until it ends. */
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

/** From the version to the client's initialisation: it never disconnects others, whatever it asks for. */
async function greet(read: (count: number) => Promise<Buffer>, socket: Socket): Promise<void> {
  const version = await read(12);
  if (!VERSIONS.includes(version.toString('latin1'))) throw new ProtocolError('RFB 3.8 is spoken here');
  await send(socket, version);
  if (version.toString('latin1') !== VERSIONS[0]) {
    const security = await read(1);
    if (security[0] !== NO_AUTHENTICATION) throw new ProtocolError('Only the security type None is offered');
    await send(socket, security);
  }
  await read(1);
  await send(socket, Buffer.of(SHARED));
}

/** Resolves when the desktop has taken it: a desktop that does not read slows its client. */
function send(socket: Socket, bytes: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.write(bytes, (error) => (error ? reject(error) : resolve()));
  });
}

/** Keys, pointer, clipboard and size of one session: they pass while it holds control. */
class VncInput {
  readonly #socket: Socket;
  readonly #viewerId: string;
  readonly #control: SessionControl;
  readonly #gate: InputGate;
  readonly #leave: () => void;
  readonly #keys = new Set<number>();
  #mask = 0;
  /** Inputs without control, moves of the pointer left out. */
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

  /** Releases what is pressed. Never rejects. */
  release(): Promise<void> {
    return this.#gate.release();
  }

  /** Releases what is pressed, and control. Never rejects. */
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

  /** The gate's own releases have no message. */
  #send(input: Sent): boolean {
    if (this.#socket.destroyed || !this.#socket.writable) return false;
    const { message } = input;
    if (message) this.#socket.write(message);
    else if (input.t === 'key') this.#socket.write(keyEvent(input.keysym, input.down));
    else if (input.t === 'ptr') this.#socket.write(pointerEvent(input.x, input.y, input.mask));
    return true;
  }
}
