import type { Socket } from 'socket.io';
import { WebSocket } from 'ws';

/** The first byte of Engine.IO's messages, and of Socket.IO's event packets in them. */
export const MESSAGE = '4';
export const EVENT = '2';
/** The longest message that is read ahead of Engine.IO, bytes. */
const EARLY_BYTES = 256;
const { OPEN } = WebSocket;

/** A queued packet; `wsPreEncodedFrame` holds the bytes of a prebuilt one. */
type Waiting = { data?: string | Buffer; options?: { wsPreEncodedFrame?: Buffer[] } };
type OnMessage = (data: Buffer, isBinary: boolean) => void;

/**
 * The parts of Engine.IO's connection, and of the WebSocket of `ws` under it, that this file uses. They are
 * not public: only this file uses them, the versions are pinned, and tests run with the real client.
 */
type Connection = {
  /** Packets that the connection has not taken yet. */
  writeBuffer: Waiting[];
  write: (text: string, options: object) => void;
  transport: {
    socket: WebSocket & { _sender: { sendFrame: (list: Buffer[], sent: () => void) => void } };
  };
};

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null;

/** Checks that a connection has the parts that this file uses. */
const isConnection = (conn: unknown): conn is Connection =>
  isObject(conn) &&
  Array.isArray(conn.writeBuffer) &&
  typeof conn.write === 'function' &&
  isObject(conn.transport) &&
  isObject(conn.transport.socket) &&
  isObject(conn.transport.socket._sender) &&
  typeof conn.transport.socket._sender.sendFrame === 'function';

/** A Socket.IO packet, and the WebSocket frames that it is sent in as one buffer. */
export type Framed = { text: string; options: { wsPreEncodedFrame: [Buffer]; compress: false } };

export const framed = (text: string, frames: Buffer): Framed => ({
  text,
  options: { wsPreEncodedFrame: [frames], compress: false },
});

/** The connection of one socket: its unsent bytes, and shorter paths to and from it than Socket.IO's. */
export class Wire {
  readonly #conn: Connection;
  readonly #ws: Connection['transport']['socket'];

  /** @throws TypeError when Engine.IO's connection differs from that of the pinned version */
  constructor(conn: Socket['conn']) {
    const internal: unknown = conn;
    if (!isConnection(internal))
      throw new TypeError('Engine.IO changed its connection: adapt relay/sockets/wire.ts.');
    this.#conn = internal;
    this.#ws = this.#conn.transport.socket;
  }

  /** Queued bytes, without those that are being written. */
  get unsentBytes(): number {
    const packets = this.#conn.writeBuffer;
    if (packets.length === 0) return 0;
    let bytes = 0;
    for (const { data, options } of packets) {
      bytes += options?.wsPreEncodedFrame?.[0]?.length ?? data?.length ?? 0;
    }
    return bytes;
  }

  /** All unsent bytes: queued, and being written. */
  get heldBytes(): number {
    return this.unsentBytes + this.#ws.bufferedAmount;
  }

  /**
   * Writes the frames if the connection has no unsent bytes. Otherwise Engine.IO queues them in order, and
   * writes them instead of the text.
   */
  send({ text, options }: Framed): void {
    const ws = this.#ws;
    const idle = this.#conn.writeBuffer.length === 0 && ws.bufferedAmount === 0 && ws.readyState === OPEN;
    if (idle) ws._sender.sendFrame(options.wsPreEncodedFrame, ignore);
    else this.#conn.write(text, options);
  }

  /**
   * Calls `take` with the argument of each event `name` that has one argument and no callback, as soon as it
   * is read. An event for which it returns true does not pass through Engine.IO and Socket.IO. Supports one
   * event of a socket.
   * @returns a function to call when the socket is gone, because another may follow on its connection
   */
  takeEarly(name: string, take: (argument: unknown) => boolean): () => void {
    const ws = this.#ws;
    const head = `${MESSAGE}${EVENT}["${name}",`;
    const [decode] = ws.listeners('message') as [OnMessage];
    const early: OnMessage = (data, isBinary) => {
      const text = isBinary || data.length > EARLY_BYTES ? '' : data.toString();
      const taken = text.startsWith(head) && take(parse(text.slice(head.length, -1)));
      if (!taken) decode(data, isBinary);
    };
    ws.off('message', decode).on('message', early);
    return () => ws.off('message', early).on('message', decode);
  }
}

/** @returns `undefined` for malformed JSON */
function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

const ignore = () => undefined;
