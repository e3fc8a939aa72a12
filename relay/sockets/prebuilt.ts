import { WebSocket } from 'ws';
import type { RelayServer, RelaySocket } from './socket.ts';

/** Socket.IO's packet type of an event, and the first character of Engine.IO's messages. */
const EVENT = 2;
const MESSAGE = '4';
const TEXT_FRAME = 1;
const BINARY_FRAME = 2;
const { OPEN } = WebSocket;

/** What lies behind a socket, as far as it is used here; not public, therefore pinned and tested with the real client. */
type Connection = {
  writeBuffer: unknown[];
  transport: {
    writable: boolean;
    socket: Pick<WebSocket, 'readyState' | 'bufferedAmount'> & {
      _sender: { sendFrame: (list: Buffer[], sent: () => void) => void };
    };
  };
  write: (text: string, options: object) => void;
};

/**
 * An event as the WebSocket frames that Socket.IO would send, in one buffer that is made once, when the first socket is
 * sent it: it is neither encoded nor framed again for each socket. At most one argument is binary.
 */
export class Prebuilt {
  readonly #build: () => { text: string; buffer: Buffer };
  #text = '';
  #buffer: Buffer | undefined;
  #options = {};

  /** @param args of the event, its name first */
  constructor(io: RelayServer, args: unknown[]) {
    this.#build = () => {
      const packet = { type: EVENT, nsp: '/', data: args } as never;
      const [text = '', ...attachments] = io.encoder.encode(packet) as [string, ...Buffer[]];
      return { text, buffer: frames(Buffer.from(MESSAGE + text), ...attachments) };
    };
  }

  send(socket: RelaySocket): void {
    const buffer = this.#buffer ?? this.#prepare();
    const conn = socket.conn as unknown as Connection;
    const { transport, writeBuffer } = conn;
    const { socket: ws, writable } = transport;
    const idle = writable && writeBuffer.length === 0 && ws.readyState === OPEN && ws.bufferedAmount === 0;
    // A connection that has taken all before is written to directly. Else Engine.IO keeps it in its queue and order, and
    // writes the buffer in the place of the text.
    if (idle) ws._sender.sendFrame([buffer], ignore);
    else conn.write(this.#text, this.#options);
  }

  #prepare(): Buffer {
    const { text, buffer } = this.#build();
    this.#text = text;
    this.#buffer = buffer;
    this.#options = { wsPreEncodedFrame: [buffer], compress: false };
    return buffer;
  }
}

const ignore = () => undefined;

/** A text frame, and a binary one for each attachment. */
function frames(message: Buffer, ...attachments: Buffer[]): Buffer {
  const payloads = [message, ...attachments];
  const length = payloads.reduce((sum, payload) => sum + headBytes(payload.length) + payload.length, 0);
  const into = Buffer.allocUnsafe(length);
  let at = 0;
  for (const [i, payload] of payloads.entries()) {
    at = writeFrame(into, at, i === 0 ? TEXT_FRAME : BINARY_FRAME, payload);
  }
  return into;
}

const headBytes = (length: number): number => (length < 126 ? 2 : length < 65_536 ? 4 : 10);

/** An unmasked, unfragmented frame as servers send them (RFC 6455, 5.2). → where it ends. */
function writeFrame(into: Buffer, at: number, opcode: number, payload: Buffer): number {
  const { length } = payload;
  into[at] = 0x80 | opcode;
  if (length < 126) {
    into[at + 1] = length;
  } else if (length < 65_536) {
    into[at + 1] = 126;
    into.writeUInt16BE(length, at + 2);
  } else {
    into[at + 1] = 127;
    into.writeBigUInt64BE(BigInt(length), at + 2);
  }
  const begin = at + headBytes(length);
  payload.copy(into, begin);
  return begin + length;
}
