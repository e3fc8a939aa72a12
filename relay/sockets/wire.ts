import type { Socket } from 'socket.io';
import { WebSocket } from 'ws';

/** How Engine.IO's messages begin, and after that Socket.IO's packets of events. */
export const MESSAGE = '4';
export const EVENT = '2';
/** The longest message that is read before Engine.IO reads it, bytes. */
const EARLY_BYTES = 256;
const { OPEN } = WebSocket;

/** A packet that waits; `wsPreEncodedFrame` is what will be written of one that was built beforehand. */
type Waiting = { data?: string | Buffer; options?: { wsPreEncodedFrame?: Buffer[] } };
type OnMessage = (data: Buffer, isBinary: boolean) => void;

/**
 * Engine.IO's connection, and under it the WebSocket of `ws`, as far as they are used here. They are not public, therefore
 * known to this file only, pinned, and tested with the real client.
 */
type Connection = {
  /** What waits for the connection to take it. */
  writeBuffer: Waiting[];
  write: (text: string, options: object) => void;
  transport: {
    socket: WebSocket & { _sender: { sendFrame: (list: Buffer[], sent: () => void) => void } };
  };
};

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null;

/** Does a connection have what this file uses of it? */
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

/** The connection of one socket: what it has not taken yet, and shorter ways to and from it than Socket.IO's. */
export class Wire {
  readonly #conn: Connection;
  readonly #ws: Connection['transport']['socket'];

  /** @throws TypeError when Engine.IO's connection is not what the pinned version has */
  constructor(conn: Socket['conn']) {
    const internal: unknown = conn;
    if (!isConnection(internal))
      throw new TypeError('Engine.IO has another connection: see relay/sockets/wire.ts');
    this.#conn = internal;
    this.#ws = this.#conn.transport.socket;
  }

  /** Bytes that wait for the connection to take them, beside what is being written. */
  get unsentBytes(): number {
    const packets = this.#conn.writeBuffer;
    if (packets.length === 0) return 0;
    let bytes = 0;
    for (const { data, options } of packets) {
      bytes += options?.wsPreEncodedFrame?.[0]?.length ?? data?.length ?? 0;
    }
    return bytes;
  }

  /** All bytes that wait for the connection to take them. */
  get heldBytes(): number {
    return this.unsentBytes + this.#ws.bufferedAmount;
  }

  /**
   * Writes the frames if the connection has taken all before. Else Engine.IO keeps them in its queue and order, and writes
   * them in the place of the text.
   */
  send({ text, options }: Framed): void {
    const ws = this.#ws;
    const idle = this.#conn.writeBuffer.length === 0 && ws.bufferedAmount === 0 && ws.readyState === OPEN;
    if (idle) ws._sender.sendFrame(options.wsPreEncodedFrame, ignore);
    else this.#conn.write(text, options);
  }

  /**
   * Shows `take` the argument of each event `name` that has one argument and no callback, as soon as it is read; what it
   * takes does not go on through Engine.IO and Socket.IO. Of one event of a socket. → to be called when the socket is gone,
   * for another may follow on its connection
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

/** → `undefined` for what is no JSON. */
function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

const ignore = () => undefined;
