import { EVENT, type Framed, framed, MESSAGE, type Wire } from './wire.ts';

/** The head of an event's packet with one binary attachment, and the placeholder of the attachment. */
const BINARY_EVENT = '51-';
const PLACEHOLDER = { _placeholder: true, num: 0 };
const TEXT_FRAME = 1;
const BINARY_FRAME = 2;

/**
 * An event as the WebSocket frames that Socket.IO would send, in one buffer. The buffer is built for the
 * first socket and shared by all others, so that the event is encoded and framed once.
 */
export class Prebuilt {
  readonly #args: unknown[];
  readonly #binary: Buffer | undefined;
  #framed: Framed | undefined;

  /**
   * @param args the event's name and its JSON arguments
   * @param binary the last argument, if it is binary
   */
  constructor(args: [string, ...unknown[]], binary?: Buffer) {
    this.#args = args;
    this.#binary = binary;
  }

  /** Length on the wire. */
  get bytes(): number {
    return this.#frames.options.wsPreEncodedFrame[0].length;
  }

  send(wire: Wire): void {
    wire.send(this.#frames);
  }

  get #frames(): Framed {
    this.#framed ??= this.#build();
    return this.#framed;
  }

  #build(): Framed {
    if (!this.#binary) {
      const text = EVENT + JSON.stringify(this.#args);
      return framed(text, frames(Buffer.from(MESSAGE + text)));
    }
    const text = BINARY_EVENT + JSON.stringify([...this.#args, PLACEHOLDER]);
    return framed(text, frames(Buffer.from(MESSAGE + text), this.#binary));
  }
}

/** Builds a text frame, and a binary one for each attachment. */
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

/**
 * Writes an unmasked, unfragmented frame, as servers send them (RFC 6455, 5.2).
 * @returns the position after it
 */
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
