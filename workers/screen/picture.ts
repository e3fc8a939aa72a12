import { Connection } from './rfb/connection.ts';
import { type Parser, ProtocolError } from './rfb/feed.ts';
import { ENCODING, pictureEncodings, type Size, updateRequest } from './rfb/messages.ts';
import { DONE, serverMessages } from './rfb/server.ts';
import type { Rect } from './rfb/update.ts';
import type { Turn } from './turns.ts';

/** Time limit of one picture, ms. */
const TIMEOUT_MS = 5000;
/** Three bytes a pixel, rows from the top. */
const CHANNELS = 3;
/** Most updates for one picture. */
const MAX_UPDATES = 64;

/** The screen of a desktop. `rgb`: red, green, blue of each pixel, row by row. */
export type Picture = Size & { rgb: Buffer };

/** Reads the screen of a desktop once, on its own connection; rejects when that exceeds `timeoutMs`. */
export async function readPicture(socketPath: string, turn: Turn, timeoutMs = TIMEOUT_MS): Promise<Picture> {
  const signal = AbortSignal.timeout(timeoutMs);
  const connection = await Connection.open(socketPath);
  return connection.run((size) => readPixels(connection, size), signal, turn);
}

function* readPixels(connection: Connection, initial: Size): Parser<Picture> {
  connection.send(pictureEncodings());
  let picture = blank(initial);
  /** Pixels not yet received. */
  let missing = initial.width * initial.height;
  let updates = 0;
  connection.send(updateRequest(initial, false));
  yield* serverMessages(initial, {
    take: (rect) => {
      if (rect.encoding !== ENCODING.raw) throw new ProtocolError('an encoding that was not requested');
      // The update that changes the size may hold such a rectangle: the complete screen is requested again.
      if (rect.x + rect.w > picture.width || rect.y + rect.h > picture.height) return;
      paint(picture, rect);
      missing -= rect.w * rect.h;
    },
    update: ({ size }) => {
      if (++updates > MAX_UPDATES) throw new ProtocolError('the picture stayed incomplete');
      if (size) {
        picture = blank(size);
        missing = size.width * size.height;
      } else if (missing <= 0) return DONE;
      connection.send(updateRequest(picture, size === undefined));
      return undefined;
    },
    clipboard: undefined,
  });
  return picture;
}

const blank = ({ width, height }: Size): Picture => ({
  width,
  height,
  rgb: Buffer.alloc(width * height * CHANNELS),
});

function paint({ width, rgb }: Picture, { x, y, w, h, data }: Rect): void {
  let from = 0;
  for (let row = y; row < y + h; row++) {
    let to = (row * width + x) * CHANNELS;
    for (let column = 0; column < w; column++) {
      rgb[to] = data[from] ?? 0;
      rgb[to + 1] = data[from + 1] ?? 0;
      rgb[to + 2] = data[from + 2] ?? 0;
      to += CHANNELS;
      from += 4;
    }
  }
}
