import type { ScreenshotFormat } from '@warmwind/shared/contract/commands/container-screenshot';
import { ApiError } from '@warmwind/shared/contract/errors';
import { Slots } from '@warmwind/shared/runtime/slots';
import sharp from 'sharp';
import { type Picture, readPicture } from './picture.ts';
import type { Turn } from './turns.ts';

/** Pictures that are made at a time on one host, and how many of one user's may wait for that. */
const AT_ONCE = 8;
const WAITING_PER_USER = 8;
const ENCODE_WITHIN_S = 10;
/** Fast, and a fifth larger than the smallest. */
const PNG_LEVEL = 3;
const JPEG_QUALITY = 85;

/** The desktop of which a picture is wanted. `socketPath` finds its socket, and rejects when there is none. */
type Source = { userId: string; socketPath: () => Promise<string>; turn: Turn };

/** Pictures of a host's desktops, a few at a time, of which each user has a share. */
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

  /** Gives what is free to those who have waited longest and may have it. */
  #next(): void {
    for (const waiting of [...this.#waiting]) {
      const release = this.#slots.take(waiting.userId);
      if (!release) continue;
      this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
      waiting.go(release);
    }
  }

  /** An encoded picture of what the desktop shows now. @throws ApiError `unavailable` */
  async take(source: Source, format: ScreenshotFormat): Promise<Screenshot> {
    try {
      const picture = await this.picture(source);
      return { width: picture.width, height: picture.height, bytes: await encode(picture, format) };
    } catch (error) {
      const why = error instanceof TooManyPicturesError ? error.message : NOT_SHOWN;
      throw new ApiError('unavailable', `No picture could be taken (${why}): ask again.`, {
        retryAfterMs: 1000,
      });
    }
  }
}

/** An encoded picture, and the size of the screen in pixels. */
export type Screenshot = { width: number; height: number; bytes: Buffer };

const NOT_SHOWN = 'the desktop does not show itself: see that it runs';

class TooManyPicturesError extends Error {
  override name = 'TooManyPicturesError';

  constructor() {
    super('too many pictures of your desktops are asked for at once: wait for some of them');
  }
}

async function encode({ width, height, rgb }: Picture, format: ScreenshotFormat): Promise<Buffer> {
  const image = sharp(rgb, { raw: { width, height, channels: 3 } }).timeout({ seconds: ENCODE_WITHIN_S });
  if (format === 'png') return image.png({ compressionLevel: PNG_LEVEL }).toBuffer();
  return image.jpeg({ quality: JPEG_QUALITY, chromaSubsampling: '4:4:4' }).toBuffer();
}
