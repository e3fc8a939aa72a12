import { type Parser, ProtocolError, skip } from './feed.ts';
import type { Size } from './messages.ts';

const VERSION = 'RFB 003.008\n';
const NO_AUTHENTICATION = 1;
const SHARED = 1;
const MAX_NAME = 4096;
/** Largest screen that is streamed, pixels a side. */
const MAX_SIDE = 4096;

/**
 * Runs the handshake, from the greeting to the screen's size. Desktops require no password: only their host
 * reaches the socket.
 */
export function* handshake(send: (bytes: Buffer) => void): Parser<Size> {
  if ((yield VERSION.length).toString('latin1') !== VERSION) throw new ProtocolError('not RFB 3.8');
  send(Buffer.from(VERSION));
  const types = (yield 1).readUInt8();
  if (!(yield types).includes(NO_AUTHENTICATION)) throw new ProtocolError('the desktop requires a password');
  send(Buffer.of(NO_AUTHENTICATION));
  if ((yield 4).readUInt32BE() !== 0) throw new ProtocolError('the desktop refused the connection');
  send(Buffer.of(SHARED));
  const init = yield 24;
  const size = checkedSize(init.readUInt16BE(0), init.readUInt16BE(2));
  const name = init.readUInt32BE(20);
  if (name > MAX_NAME) throw new ProtocolError('the name of the desktop is too long');
  yield* skip(name);
  return size;
}

/** Checks the size of a screen, pixels. @throws ProtocolError when it is too small or too large */
export function checkedSize(width: number, height: number): Size {
  if (width < 1 || height < 1 || width > MAX_SIDE || height > MAX_SIDE) {
    throw new ProtocolError(`a screen of ${width} × ${height} pixels is not shown`);
  }
  return { width, height };
}
