import { constants, deflateSync, inflateSync } from 'node:zlib';
import { MAX_CLIPBOARD_CHARS } from '@warmwind/shared/contract/screen';
import { ProtocolError } from './feed.ts';
import { cutText } from './messages.ts';

/** What a message of the extended clipboard is, and of which format: UTF-8 text alone here. */
const TEXT = 1;
const CAPS = 1 << 24;
const REQUEST = 1 << 25;
const NOTIFY = 1 << 27;
const PROVIDE = 1 << 28;
/** UTF-8 takes up to three bytes for what counts one in a string. */
const MAX_BYTES = MAX_CLIPBOARD_CHARS * 3;
const SIZE_BYTES = 4;

/** The longest message about the clipboard that is looked at; what is longer is read past. */
export const MAX_CLIPBOARD_BYTES = MAX_BYTES + 1024;

/**
 * The clipboard, both ways. Servers that speak the extended form carry any text: they are told that there is one, and
 * ask for it when something is pasted. Others get Latin-1.
 */
export class Clipboard {
  readonly #send: (bytes: Buffer) => boolean;
  readonly #onText: (text: string | undefined) => void;
  #extended = false;
  #offered = '';

  /** @param onText hears what is copied in the desktop; `undefined`: a text that is longer than is told */
  constructor(send: (bytes: Buffer) => boolean, onText: (text: string | undefined) => void) {
    this.#send = send;
    this.#onText = onText;
  }

  /** Puts a text on the desktop's clipboard. → false when the desktop does not take it */
  offer(text: string): boolean {
    this.#offered = text;
    return this.#send(this.#extended ? message(NOTIFY | TEXT) : cutText(text));
  }

  /** The server's text in Latin-1. */
  takeLatin1(bytes: Buffer): void {
    this.#onText(bytes.length <= MAX_CLIPBOARD_CHARS ? bytes.toString('latin1') : undefined);
  }

  /** A message that is too long to be looked at. */
  tooLong(): void {
    this.#onText(undefined);
  }

  /** The server's message of the extended form, after its length. */
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

/** A ClientCutText whose negative length says that it is of the extended form. */
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

/** → `undefined` when it is longer than what the clipboard carries. */
function readProvided(packed: Buffer): string | undefined {
  let bytes: Buffer;
  try {
    bytes = inflateSync(packed, { maxOutputLength: MAX_BYTES, finishFlush: constants.Z_SYNC_FLUSH });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') return undefined;
    throw new ProtocolError('a clipboard that can not be inflated', { cause: error });
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
