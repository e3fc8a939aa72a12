import { constants, deflateSync, inflateSync } from 'node:zlib';
import { MAX_CLIPBOARD_CHARS } from '@warmwind/shared/contract/screen';
import { ProtocolError } from './feed.ts';
import { cutText } from './messages.ts';

/** Flags of an extended clipboard message: its format, here UTF-8 text alone, and its kind. */
const TEXT = 1;
const CAPS = 1 << 24;
const REQUEST = 1 << 25;
const NOTIFY = 1 << 27;
const PROVIDE = 1 << 28;
/** UTF-8 takes up to three bytes for one UTF-16 code unit. */
const MAX_BYTES = MAX_CLIPBOARD_CHARS * 3;
const SIZE_BYTES = 4;

/** Longest clipboard message that is parsed; longer ones are skipped. */
export const MAX_CLIPBOARD_BYTES = MAX_BYTES + 1024;

/**
 * The clipboard, in both directions. A server that supports the extended form takes any text: it receives a
 * notice, and requests the text on paste. Other servers receive Latin-1.
 */
export class Clipboard {
  readonly #send: (bytes: Buffer) => boolean;
  readonly #onText: (text: string | undefined) => void;
  #extended = false;
  #offered = '';

  /** @param onText receives the text copied in the desktop; `undefined`: it is too long */
  constructor(send: (bytes: Buffer) => boolean, onText: (text: string | undefined) => void) {
    this.#send = send;
    this.#onText = onText;
  }

  /** Puts a text on the desktop's clipboard. @returns false when the desktop does not accept it */
  offer(text: string): boolean {
    this.#offered = text;
    return this.#send(this.#extended ? message(NOTIFY | TEXT) : cutText(text));
  }

  /** Takes a text of the server in Latin-1. */
  takeLatin1(bytes: Buffer): void {
    this.#onText(bytes.length <= MAX_CLIPBOARD_CHARS ? bytes.toString('latin1') : undefined);
  }

  /** Reports a message that was too long to be parsed. */
  tooLong(): void {
    this.#onText(undefined);
  }

  /** Takes a message of the extended form, without its length. @throws ProtocolError when it is malformed */
  takeExtended(bytes: Buffer): void {
    if (bytes.length < 4) throw new ProtocolError('a clipboard message that is too short');
    const flags = bytes.readUInt32BE();
    if (flags & CAPS) {
      this.#extended = true;
      const most = Buffer.alloc(SIZE_BYTES);
      most.writeUInt32BE(MAX_CLIPBOARD_CHARS);
      this.#send(message(CAPS | REQUEST | NOTIFY | PROVIDE | TEXT, most));
    } else if (flags & NOTIFY) {
      if (flags & TEXT) this.#send(message(REQUEST | TEXT));
    } else if (flags & REQUEST) {
      if (flags & TEXT) this.#send(message(PROVIDE | TEXT, provided(this.#offered)));
    } else if (flags & PROVIDE && flags & TEXT) {
      this.#onText(readProvided(bytes.subarray(4)));
    }
  }
}

/** Makes a ClientCutText of the extended form, which its negative length marks. */
function message(flags: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(12);
  head.writeUInt8(6, 0);
  head.writeInt32BE(-(4 + payload.length), 4);
  head.writeUInt32BE(flags >>> 0, 8);
  return Buffer.concat([head, payload]);
}

function provided(text: string): Buffer {
  const bytes = Buffer.from(`${text.replace(/\r?\n/g, '\r\n')}\0`, 'utf8');
  const size = Buffer.alloc(SIZE_BYTES);
  size.writeUInt32BE(bytes.length);
  return deflateSync(Buffer.concat([size, bytes]));
}

/** Inflates a provided text. @returns `undefined` when it is too long */
function readProvided(packed: Buffer): string | undefined {
  let bytes: Buffer;
  try {
    bytes = inflateSync(packed, { maxOutputLength: MAX_BYTES, finishFlush: constants.Z_SYNC_FLUSH });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') return undefined;
    throw new ProtocolError('a clipboard that cannot be inflated', { cause: error });
  }
  if (bytes.length < SIZE_BYTES) throw new ProtocolError('a clipboard without a text');
  const size = bytes.readUInt32BE();
  const text = bytes
    .subarray(SIZE_BYTES, SIZE_BYTES + size)
    .toString('utf8')
    .replace(/\0$/, '')
    .replaceAll('\r\n', '\n');
  return text.length <= MAX_CLIPBOARD_CHARS ? text : undefined;
}
