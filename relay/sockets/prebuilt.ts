import type { RelayServer } from './socket.ts';
import { type Framed, framed, type Wire } from './wire.ts';

/** Socket.IO's packet type of an event, and the first character of Engine.IO's messages. */
const EVENT = 2;
const MESSAGE = '4';
const TEXT_FRAME = 1;
const BINARY_FRAME = 2;

/**
 * An event as the WebSocket frames that Socket.IO would send, in one buffer that is made once, when the first socket is
 * sent it: it is neither encoded nor framed again for each socket. At most one argument is binary.
 */
export class Prebuilt {
  readonly #io: RelayServer;
  readonly #args: unknown[];
  #framed: Framed | undefined;

  /** @param args of the event, its name first */
  constructor(io: RelayServer, args: unknown[]) {
    this.#io = io;
    this.#args = args;
  }

  send(wire: Wire): void {
    this.#framed ??= this.#build();
    wire.send(this.#framed);
  }

  #build(): Framed {
    const packet = { type: EVENT, nsp: '/', data: this.#args } as never;
    const [text = '', ...attachments] = this.#io.encoder.encode(packet) as [string, ...Buffer[]];
    return framed(text, frames(Buffer.from(MESSAGE + text), ...attachments));
  }
}

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
