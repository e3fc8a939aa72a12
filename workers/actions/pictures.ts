import type { ActionPicture } from '@warmwind/shared/contract/actions/answer';
import type { Picture as PictureOptions } from '@warmwind/shared/contract/actions/step';
import { ApiError } from '@warmwind/shared/contract/errors';
import { encode, type PictureRequest, snapshot } from '../framebuffer/picture.ts';
import type { Framebuffer } from '../framebuffer/session.ts';
import type { Screenshots } from '../screen/screenshot.ts';

/** The most characters of the pictures of one answer, in base64. */
const MAX_CHARS = 8 * 2 ** 20;

/** The pictures of one call. */
export class CallPictures {
  readonly #framebuffer: Framebuffer;
  readonly #screenshots: Screenshots;
  readonly #userId: string;
  #chars = 0;

  constructor(framebuffer: Framebuffer, screenshots: Screenshots, userId: string) {
    this.#framebuffer = framebuffer;
    this.#screenshots = screenshots;
    this.#userId = userId;
  }

  /** Takes a picture of the present screen. @throws ApiError when it is too large, or can't be taken */
  async take({ format = 'png', region, ...options }: PictureOptions): Promise<ActionPicture> {
    const request: PictureRequest = { ...options, format };
    if (region) request.region = { x: region.x, y: region.y, w: region.width, h: region.height };
    const { frame, width, height, bytes } = await this.#screenshots.encoded(this.#userId, async () => {
      await this.#framebuffer.sync();
      this.#checkRegion(request);
      return encode(snapshot(this.#framebuffer, request), request);
    });
    const data = bytes.toString('base64');
    this.#chars += data.length;
    if (this.#chars > MAX_CHARS) throw new ApiError('payload_too_large', TOO_LARGE);
    return { frame, width, height, format, data };
  }

  /** The region was planned on the screen as it was when the call began. @throws ApiError `conflict` */
  #checkRegion({ region }: PictureRequest): void {
    const { pixels } = this.#framebuffer;
    if (!region || pixels.contains(region)) return;
    const { width, height } = pixels.size;
    throw new ApiError('conflict', `The screen was resized to ${width} × ${height} pixels. ${RESIZED}`);
  }
}

const RESIZED = 'Look at the desktop, then request a region of its new screen.';
const TOO_LARGE =
  'The pictures of this call are larger than 8 MB. The actions before were carried out: look at the desktop, then ask for JPEG, a smaller maxWidth or fewer pictures.';
