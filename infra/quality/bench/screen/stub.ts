import { WebSocket } from 'ws';
import { type Parser, skip } from '../../../../workers/screen/rfb/feed.ts';
import { handshake } from '../../../../workers/screen/rfb/handshake.ts';
import { ENCODING, pixelFormat, type Size, updateRequest } from '../../../../workers/screen/rfb/messages.ts';
import { type Looking, readUpdate } from './update.ts';
import type { Seen } from './viewers.ts';

const FENCE = 248;
const CONTINUOUS = 150;
/**
 * The encodings of noVNC, without the pointer's shape (ours draws it) and those that Xvnc lacks or never
 * chooses.
 */
const ENCODINGS = [
  ENCODING.copyRect,
  ENCODING.tight,
  ENCODING.raw,
  /** JPEG of quality 6, compression 2. */
  -32 + 6,
  -256 + 2,
  ENCODING.desktopSize,
  ENCODING.lastRect,
  ENCODING.extendedDesktopSize,
  /** Fence, continuous updates, the desktop's name. */
  -312,
  -313,
  -307,
];

/** Opens a viewer behind websockify that sends the messages of noVNC and decodes at most the marker. */
export function openStub(url: string, seen: Seen, looking?: Looking): WebSocket {
  const socket = new WebSocket(url, ['binary'], { perMessageDeflate: false });
  let at = 0;
  const session = speak(
    (bytes) => socket.send(bytes),
    () => {
      seen.updates += 1;
      if (looking) seen.look(looking.marker.age(at));
    },
    looking,
  );
  let step = session.next(Buffer.alloc(0));
  let held: Buffer = Buffer.alloc(0);
  socket.on('message', (chunk: Buffer) => {
    at = performance.timeOrigin + performance.now();
    seen.bytes += chunk.length;
    held = held.length > 0 ? Buffer.concat([held, chunk]) : chunk;
    let read = 0;
    while (!step.done && typeof step.value === 'number' && held.length - read >= step.value) {
      const wanted = step.value;
      step = session.next(held.subarray(read, read + wanted));
      read += wanted;
    }
    held = held.subarray(read);
  });
  socket.on('error', () => undefined);
  return socket;
}

function* speak(send: (bytes: Buffer) => void, onUpdate: () => void, looking?: Looking): Parser<never> {
  const size = yield* handshake(send);
  send(pixelFormat());
  send(encodings());
  send(updateRequest(size, false));
  let continuous = false;
  for (;;) {
    const type = (yield 1).readUInt8();
    if (type === 0) {
      yield* readUpdate(looking);
      onUpdate();
      if (!continuous) send(updateRequest(size, true));
    } else if (type === CONTINUOUS) {
      // The server supports continuous updates: enable them.
      if (!continuous) send(continuousUpdates(size));
      continuous = true;
    } else if (type === FENCE) {
      const head = Buffer.from(yield 8);
      const payload = yield head.readUInt8(7);
      const answer = Buffer.concat([Buffer.of(FENCE), head, payload]);
      // A request for a fence: answer with the flags that we support.
      if (head.readUInt32BE(3) >>> 31) send(withFlags(answer, head.readUInt32BE(3) & 3));
    } else if (type === 3) yield* skip(Math.abs((yield 7).readInt32BE(3)));
    else if (type !== 2) throw new Error(`message ${type}`);
  }
}

function withFlags(fence: Buffer, flags: number): Buffer {
  fence.writeUInt32BE(flags, 4);
  return fence;
}

function encodings(): Buffer {
  const message = Buffer.alloc(4 + 4 * ENCODINGS.length);
  message.writeUInt8(2, 0);
  message.writeUInt16BE(ENCODINGS.length, 2);
  for (const [index, encoding] of ENCODINGS.entries()) message.writeInt32BE(encoding, 4 + 4 * index);
  return message;
}

function continuousUpdates({ width, height }: Size): Buffer {
  const message = Buffer.alloc(10);
  message.writeUInt8(CONTINUOUS, 0);
  message.writeUInt8(1, 1);
  message.writeUInt16BE(width, 6);
  message.writeUInt16BE(height, 8);
  return message;
}
