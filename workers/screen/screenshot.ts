import type { ScreenshotReply } from '@warmwind/shared/screen';
import sharp from 'sharp';
import { type Picture, readPicture } from './picture.ts';

/** Pictures that are made at a time on one host, and how many may wait for that. */
const AT_ONCE = 2;
const MAX_WAITING = 16;
const ENCODE_WITHIN_S = 10;
/** Fast, and a fifth larger than the smallest. */
const PNG_LEVEL = 3;
const JPEG_QUALITY = 85;

type Format = 'png' | 'jpeg';

/** Pictures of a host's desktops, a few at a time. */
export class Screenshots {
  #active = 0;
  readonly #waiting: (() => void)[] = [];

  /** @param socketPath finds the desktop's socket; rejects when there is none */
  async picture(socketPath: () => Promise<string>): Promise<Picture> {
    if (this.#active >= AT_ONCE) {
      if (this.#waiting.length >= MAX_WAITING) throw new Error('too many pictures are asked for');
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else this.#active++;
    try {
      return await readPicture(await socketPath());
    } finally {
      // Its place goes to the next without being free between.
      const next = this.#waiting.shift();
      if (next) next();
      else this.#active--;
    }
  }

  /** The reply to a request for one: a JSON line, then the image. Never rejects. */
  async reply(socketPath: () => Promise<string>, format: Format): Promise<{ ok: boolean; bytes: Buffer }> {
    try {
      const picture = await this.picture(socketPath);
      const { width, height } = picture;
      return {
        ok: true,
        bytes: replyBytes({ ok: true, width, height, format }, await encode(picture, format)),
      };
    } catch {
      const message = 'the desktop does not show itself: see that it runs, and try again';
      return { ok: false, bytes: replyBytes({ ok: false, message }) };
    }
  }
}

async function encode({ width, height, rgb }: Picture, format: Format): Promise<Buffer> {
  const image = sharp(rgb, { raw: { width, height, channels: 3 } }).timeout({ seconds: ENCODE_WITHIN_S });
  if (format === 'png') return image.png({ compressionLevel: PNG_LEVEL }).toBuffer();
  return image.jpeg({ quality: JPEG_QUALITY, chromaSubsampling: '4:4:4' }).toBuffer();
}

const replyBytes = (head: ScreenshotReply, image: Buffer = Buffer.alloc(0)): Buffer =>
  Buffer.concat([Buffer.from(`${JSON.stringify(head)}\n`), image]);
