import type { ScreenInput } from '@warmwind/shared/contract/screen';
import { MAX_CLIPBOARD_BYTES } from './clipboard.ts';
import { ProtocolError } from './feed.ts';
import { keyEvent } from './messages.ts';

/** The messages of an RFB client, by their first byte: https://github.com/rfbproto/rfbproto */
const TYPE = {
  pixelFormat: 0,
  encodings: 2,
  updateRequest: 3,
  key: 4,
  pointer: 5,
  cutText: 6,
  continuousUpdates: 150,
  fence: 248,
  desktopSize: 251,
  qemu: 255,
} as const;

const MOST = { encodings: 256, fenceBytes: 64, screens: 16 };
/** Pseudo-encodings that would allow further kinds of client messages: QEMU's keys, and more buttons. */
const WITHHELD: ReadonlySet<number> = new Set([-258, -316]);
/** The extended clipboard's messages that put a text on the desktop's clipboard: notify and provide. */
const OFFERS = (1 << 27) | (1 << 28);

/** `input`: the input in the message, which reaches the desktop only while its sender holds control. */
export type ClientMessage = { bytes: Buffer; input?: ScreenInput };

/** Reads exactly `count` bytes; rejects when the client has ended. */
export type ReadBytes = (count: number) => Promise<Buffer>;

/**
 * Reads one message of a client, in the form in which the server receives it.
 * @throws ProtocolError when its kind is not supported, or when it is too long
 */
export async function readClientMessage(read: ReadBytes): Promise<ClientMessage> {
  const type = (await read(1)).readUInt8();
  const rest = async (count: number) => Buffer.concat([Buffer.of(type), await read(count)]);
  switch (type) {
    case TYPE.pixelFormat:
      return { bytes: await rest(19) };
    case TYPE.encodings:
      return { bytes: await readEncodings(read) };
    case TYPE.updateRequest:
    case TYPE.continuousUpdates:
      return { bytes: await rest(9) };
    case TYPE.key: {
      const bytes = await rest(7);
      return keyMessage(bytes, bytes.readUInt32BE(4), bytes.readUInt8(1) !== 0);
    }
    case TYPE.pointer: {
      const bytes = await rest(5);
      const [mask, x, y] = [bytes.readUInt8(1), bytes.readUInt16BE(2), bytes.readUInt16BE(4)];
      return { bytes, input: { t: 'ptr', x, y, mask } };
    }
    case TYPE.cutText:
      return readCutText(read);
    case TYPE.fence: {
      const head = await read(8);
      const length = checked('fence', head.readUInt8(7), MOST.fenceBytes);
      return { bytes: Buffer.concat([Buffer.of(type), head, await read(length)]) };
    }
    case TYPE.desktopSize: {
      const head = await read(7);
      const screens = checked('screen layout', head.readUInt8(5), MOST.screens);
      const bytes = Buffer.concat([Buffer.of(type), head, await read(screens * 16)]);
      return { bytes, input: { t: 'resize', w: bytes.readUInt16BE(2), h: bytes.readUInt16BE(4) } };
    }
    case TYPE.qemu: {
      const bytes = await rest(11);
      if (bytes.readUInt8(1) !== 0) throw new ProtocolError('RFB message 255 of this kind is not supported');
      // Passed on as a plain key event, which every server supports.
      const [down, keysym] = [bytes.readUInt16BE(2) !== 0, bytes.readUInt32BE(4)];
      return keyMessage(keyEvent(keysym, down), keysym, down);
    }
    default:
      throw new ProtocolError(`RFB message ${type} is not supported`);
  }
}

const keyMessage = (bytes: Buffer, keysym: number, down: boolean): ClientMessage => ({
  bytes,
  input: { t: 'key', keysym, down },
});

async function readEncodings(read: ReadBytes): Promise<Buffer> {
  const head = await read(3);
  const count = checked('list of encodings', head.readUInt16BE(1), MOST.encodings);
  const body = await read(4 * count);
  const listed = Array.from({ length: count }, (_, index) => body.readInt32BE(4 * index));
  const passed = listed.filter((encoding) => !WITHHELD.has(encoding));
  const message = Buffer.alloc(4 + 4 * passed.length);
  message.writeUInt8(TYPE.encodings, 0);
  message.writeUInt16BE(passed.length, 2);
  for (const [index, encoding] of passed.entries()) message.writeInt32BE(encoding, 4 + 4 * index);
  return message;
}

/** A negative length marks the extended form, whose flags come first. */
async function readCutText(read: ReadBytes): Promise<ClientMessage> {
  const head = await read(7);
  const signed = head.readInt32BE(3);
  const body = await read(checked('clipboard', Math.abs(signed), MAX_CLIPBOARD_BYTES));
  const bytes = Buffer.concat([Buffer.of(TYPE.cutText), head, body]);
  if (signed < 0 && body.length < 4) throw new ProtocolError('The clipboard message has no flags');
  const offers = signed >= 0 || (body.readUInt32BE() & OFFERS) !== 0;
  return offers ? { bytes, input: { t: 'cut', text: body.toString('latin1') } } : { bytes };
}

function checked(what: string, count: number, most: number): number {
  if (count > most) throw new ProtocolError(`The ${what} is too long: ${count}, at most ${most}`);
  return count;
}
