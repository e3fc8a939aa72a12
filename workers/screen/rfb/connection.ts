import type { Socket } from 'node:net';
import { openSocket } from '../../containers/rfb.ts';
import type { Turn } from '../turns.ts';
import { feed, type Parser, ProtocolError } from './feed.ts';
import { handshake } from './handshake.ts';
import { pixelFormat, type Size } from './messages.ts';

/** Time limit of the handshake, ms. */
const HANDSHAKE_MS = 5000;
/** Most bytes, and most messages, that a desktop may leave unread; beyond that nothing more is sent. */
const MAX_UNREAD_BYTES = 2 ** 20;
const MAX_UNREAD_MESSAGES = 4096;

/** One connection to a desktop's RFB server, from its greeting on. */
export class Connection {
  readonly #socket: Socket;
  #unread = 0;
  readonly #onRead = () => {
    this.#unread -= 1;
  };

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** @param socketPath in a directory that the desktop controls: no link is followed */
  static async open(socketPath: string): Promise<Connection> {
    return new Connection(await openSocket(socketPath, HANDSHAKE_MS));
  }

  /**
   * Runs the handshake, then feeds the server's messages to the parser that `parserFor` makes for the
   * screen's size. Rejects when the peer is gone, violates RFB, or `signal` is aborted. Closes the connection
   * in the end.
   * @returns the result of the parser
   */
  async run<T>(parserFor: (size: Size) => Parser<T>, signal: AbortSignal, turn: Turn): Promise<T> {
    const socket = this.#socket;
    const stop = () => socket.destroy(new ProtocolError('stopped'));
    signal.addEventListener('abort', stop, { once: true });
    const timer = setTimeout(() => socket.destroy(new ProtocolError('no handshake in time')), HANDSHAKE_MS);
    const send = (bytes: Buffer) => this.send(bytes);
    function* readComplete(): Parser<T> {
      const size = yield* handshake(send);
      clearTimeout(timer);
      send(pixelFormat());
      return yield* parserFor(size);
    }
    try {
      signal.throwIfAborted();
      return await feed(socket, readComplete(), turn);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
      socket.destroy();
    }
  }

  /** Sends bytes. @returns false when they are dropped, because the desktop is gone or does not read */
  send(bytes: Buffer): boolean {
    // A small message takes far more memory than its bytes.
    const isFull = this.#unread >= MAX_UNREAD_MESSAGES || this.#socket.writableLength > MAX_UNREAD_BYTES;
    if (this.#socket.destroyed || isFull) return false;
    this.#unread += 1;
    this.#socket.write(bytes, this.#onRead);
    return true;
  }

  /** Closes the connection: `run` rejects with this reason. */
  fail(reason: string): void {
    this.#socket.destroy(new ProtocolError(reason));
  }
}
