import type { ScreenshotFormat } from '@warmwind/shared/contract/commands/container-screenshot';
import { ApiError } from '@warmwind/shared/contract/errors';
import { Slots } from '@warmwind/shared/runtime/slots';
import sharp from 'sharp';
import { type Picture, readPicture } from './picture.ts';
import type { Turn } from './turns.ts';

/** Pictures taken at once on one host, and most pictures of one user that wait. */
const AT_ONCE = 8;
const WAITING_PER_USER = 8;
const ENCODE_TIMEOUT_S = 10;
/** Fast, and a fifth larger than the smallest. */
const PNG_LEVEL = 3;
const JPEG_QUALITY = 85;

/** The desktop to take a picture of. `socketPath` rejects when there is no socket. */
type Source = { userId: string; socketPath: () => Promise<string>; turn: Turn };

/** Takes pictures of a host's desktops: a few at once, shared among users. */
export class Screenshots {
  readonly #slots = new Slots(AT_ONCE);
  readonly #waiting: { userId: string; go: (release: () => void) => void }[] = [];

  async picture({ userId, socketPath, turn }: Source): Promise<Picture> {
    const release = this.#slots.take(userId) ?? (await this.#slotOf(userId));
    try {
      return await readPicture(await socketPath(), turn);
    } finally {
      release();
      this.#next();
    }
  }

  async #slotOf(userId: string): Promise<() => void> {
    const own = this.#waiting.filter((waiting) => waiting.userId === userId);
    if (own.length >= WAITING_PER_USER) throw new TooManyPicturesError();
    return new Promise((go) => this.#waiting.push({ userId, go }));
  }

  /** Gives free slots to the requests that have waited longest, within each user's share. */
  #next(): void {
    for (const waiting of [...this.#waiting]) {
      const release = this.#slots.take(waiting.userId);
      if (!release) continue;
      this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
      waiting.go(release);
    }
  }

  /** Takes an encoded picture of the present screen. @throws ApiError `unavailable` */
  async take(source: Source, format: ScreenshotFormat): Promise<Screenshot> {
    try {
      const picture = await this.picture(source);
      return { width: picture.width, height: picture.height, bytes: await encode(picture, format) };
    } catch (error) {
      const message = error instanceof TooManyPicturesError ? error.message : NOT_SHOWN;
      throw new ApiError('unavailable', message, { retryAfterMs: 1000 });
    }
  }
}

/** An encoded picture, and the size of the screen in pixels. */
export type Screenshot = { width: number; height: number; bytes: Buffer };

const NOT_SHOWN = 'The desktop did not send its screen. Check that it runs, then retry.';

class TooManyPicturesError extends Error {
  override name = 'TooManyPicturesError';

  constructor() {
    super('Too many screenshots of your desktops are in progress. Wait for some of them, then retry.');
  }
}

async function encode({ width, height, rgb }: Picture, format: ScreenshotFormat): Promise<Buffer> {
  const image = sharp(rgb, { raw: { width, height, channels: 3 } }).timeout({ seconds: ENCODE_TIMEOUT_S });
  if (format === 'png') return image.png({ compressionLevel: PNG_LEVEL }).toBuffer();
  return image.jpeg({ quality: JPEG_QUALITY, chromaSubsampling: '4:4:4' }).toBuffer();
}
