import type { Socket } from 'node:net';
import { openSocket } from '../../containers/rfb.ts';
import type { Turn } from '../turns.ts';
import { feed, type Parser, ProtocolError } from './feed.ts';
import { handshake } from './handshake.ts';
import { pixelFormat, type Size } from './messages.ts';

/** How long a desktop may take to let us in, ms. */
const HANDSHAKE_MS = 5000;
/** What a desktop that does not read may leave unread; then nothing more is said to it. */
const MAX_UNREAD_BYTES = 2 ** 20;

/** One connection to a desktop's RFB server, from its greeting on. */
export class Connection {
  readonly #socket: Socket;

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** @param socketPath in a directory that the desktop controls: no link is followed */
  static async open(socketPath: string): Promise<Connection> {
    return new Connection(await openSocket(socketPath, HANDSHAKE_MS));
  }

  /**
   * Greets, then feeds what the server says to the parser that `speak` makes for the screen's size. Resolves with what
   * that returns; rejects when the peer is gone, does not speak RFB, or `signal` is aborted. The connection is closed then.
   */
  async run<T>(speak: (size: Size) => Parser<T>, signal: AbortSignal, turn: Turn): Promise<T> {
    const socket = this.#socket;
    const stop = () => socket.destroy(new ProtocolError('stopped'));
    signal.addEventListener('abort', stop, { once: true });
    const late = setTimeout(() => socket.destroy(new ProtocolError('no handshake in time')), HANDSHAKE_MS);
    const send = (bytes: Buffer) => this.send(bytes);
    function* readComplete(): Parser<T> {
      const size = yield* handshake(send);
      clearTimeout(late);
      send(pixelFormat());
      return yield* speak(size);
    }
    try {
      signal.throwIfAborted();
      return await feed(socket, readComplete(), turn);
    } finally {
      clearTimeout(late);
      signal.removeEventListener('abort', stop);
      socket.destroy();
    }
  }

  /** → false when the desktop does not read what it is sent: this is left out. */
  send(bytes: Buffer): boolean {
    if (this.#socket.destroyed || this.#socket.writableLength > MAX_UNREAD_BYTES) return false;
    this.#socket.write(bytes);
    return true;
  }

  /** Ends it: `run` rejects with this reason. */
  fail(reason: string): void {
    this.#socket.destroy(new ProtocolError(reason));
  }
}
