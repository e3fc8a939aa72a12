import { type Parser, ProtocolError, skip } from './feed.ts';
import type { Size } from './messages.ts';

const VERSION = 'RFB 003.008\n';
const NO_AUTHENTICATION = 1;
const SHARED = 1;
const MAX_NAME = 4096;
/** The largest screen that is streamed, pixels a side. */
const MAX_SIDE = 4096;

/** From the greeting to the screen's size. Our desktops ask for no password: whoever reaches the socket is their host. */
export function* handshake(send: (bytes: Buffer) => void): Parser<Size> {
  if ((yield VERSION.length).toString('latin1') !== VERSION) throw new ProtocolError('not RFB 3.8');
  send(Buffer.from(VERSION));
  const types = (yield 1).readUInt8();
  if (!(yield types).includes(NO_AUTHENTICATION)) throw new ProtocolError('it wants a password');
  send(Buffer.of(NO_AUTHENTICATION));
  if ((yield 4).readUInt32BE() !== 0) throw new ProtocolError('it refused us');
  send(Buffer.of(SHARED));
  const init = yield 24;
  const size = checkedSize(init.readUInt16BE(0), init.readUInt16BE(2));
  const name = init.readUInt32BE(20);
  if (name > MAX_NAME) throw new ProtocolError('its name is too long');
  yield* skip(name);
  return size;
}

/** Throws when no screen is so small or large. */
export function checkedSize(width: number, height: number): Size {
  if (width < 1 || height < 1 || width > MAX_SIDE || height > MAX_SIDE) {
    throw new ProtocolError(`a screen of ${width} × ${height} pixels is not shown`);
  }
  return { width, height };
}
