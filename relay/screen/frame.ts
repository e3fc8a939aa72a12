import type { FrameHead } from '@warmwind/shared/screen';
import type { RelayServer, RelaySocket } from '../sockets/socket.ts';

/** Socket.IO's packet type of an event, and the first character of Engine.IO's messages. */
const EVENT = 2;
const MESSAGE = '4';
const TEXT_FRAME = 1;
const BINARY_FRAME = 2;

/** What `io.encoder` makes of an event with one attachment. */
type Encoded = [text: string, attachment: Buffer];
/** As `conn.write` takes it. */
type Built = { text: string; options: { wsPreEncodedFrame: Buffer[]; compress: false } };

/**
 * A frame of a screen as viewers are sent it: as the two WebSocket frames of an event with binary, in one buffer that is
 * made once, when the first is sent it. Engine.IO takes such a buffer as it takes its own (`wsPreEncodedFrame`), which is
 * no public interface: versions are pinned, and a test reads it with the real client.
 */
export class Frame {
  readonly head: FrameHead;
  /** What one viewer is sent, bytes; without the few of the envelope. */
  readonly bytes: number;
  readonly #build: () => Built;
  #built: Built | undefined;

  /** @param args of the event, its name first; the last is the binary */
  constructor(io: RelayServer, head: FrameHead, args: [...unknown[], Buffer]) {
    this.head = head;
    this.bytes = (args.at(-1) as Buffer).length;
    this.#build = () => build(io.encoder.encode({ type: EVENT, nsp: '/', data: args } as never) as Encoded);
  }

  send({ conn }: RelaySocket): void {
    this.#built ??= this.#build();
    // The text stands for the packet where Engine.IO looks at it; what is written is the buffer.
    conn.write(this.#built.text, this.#built.options as never);
  }
}

function build([text, attachment]: Encoded): Built {
  const message = Buffer.from(MESSAGE + text);
  const buffer = Buffer.allocUnsafe(
    headBytes(message.length) + message.length + headBytes(attachment.length) + attachment.length,
  );
  const end = writeFrame(buffer, 0, TEXT_FRAME, message);
  writeFrame(buffer, end, BINARY_FRAME, attachment);
  return { text, options: { wsPreEncodedFrame: [buffer], compress: false } };
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
