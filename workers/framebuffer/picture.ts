import sharp from 'sharp';
import type { Area, Size } from '../screen/rfb/messages.ts';
import { CHANNELS } from './pixels.ts';
import type { Cursor, Framebuffer } from './session.ts';

const ENCODE_TIMEOUT_S = 10;
/** Fast, and a fifth larger than the smallest. */
const PNG_LEVEL = 3;
const QUALITY = { jpeg: 85, webp: 80 } as const;
/** Of WebP, from 0 to 6. */
const WEBP_EFFORT = 1;

type PictureFormat = 'png' | 'jpeg' | 'webp';

/** How a picture is made. It is only ever made smaller; pixels. */
export type PictureRequest = {
  format: PictureFormat;
  /** Of JPEG and WebP, from 1 to 100. */
  quality?: number | undefined;
  maxWidth?: number | undefined;
  maxHeight?: number | undefined;
  /** The part of the screen that is shown; it lies inside. */
  region?: Area | undefined;
  /** Shows the pointer. */
  cursor?: boolean | undefined;
};

/** Pixels of a screen at one time. */
export type Snapshot = { frame: string; screen: Size; area: Area; pixels: Buffer };

/** An encoded picture. `frame`: names its content. `screen`: the size of the screen, pixels. */
export type Picture = Size & { frame: string; screen: Size; bytes: Buffer };

/** Copies the present pixels. @throws ProtocolError when the framebuffer has ended, or lacks the region */
export function snapshot(framebuffer: Framebuffer, { region, cursor = false }: PictureRequest): Snapshot {
  const { pixels } = framebuffer;
  const screen = pixels.size;
  const area = region ?? { x: 0, y: 0, w: screen.width, h: screen.height };
  const copy = pixels.copy(area);
  if (cursor) drawCursor(copy, area, framebuffer.cursor);
  return { frame: framebuffer.frameId(cursor), screen, area, pixels: copy };
}

/** Encodes a picture, outside of this process's main thread. */
export async function encode(
  { frame, screen, area, pixels }: Snapshot,
  { format, quality, maxWidth, maxHeight }: PictureRequest,
): Promise<Picture> {
  const raw = { width: area.w, height: area.h, channels: CHANNELS } as const;
  let image = sharp(pixels, { raw }).removeAlpha().timeout({ seconds: ENCODE_TIMEOUT_S });
  if ((maxWidth ?? area.w) < area.w || (maxHeight ?? area.h) < area.h) {
    image = image.resize({
      width: maxWidth ?? area.w,
      height: maxHeight ?? area.h,
      fit: 'inside',
      withoutEnlargement: true,
    });
  }
  if (format === 'png') image = image.png({ compressionLevel: PNG_LEVEL });
  else if (format === 'webp')
    image = image.webp({ quality: quality ?? QUALITY.webp, effort: WEBP_EFFORT, smartSubsample: true });
  else image = image.jpeg({ quality: quality ?? QUALITY.jpeg, chromaSubsampling: '4:4:4' });
  const { data, info } = await image.toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, frame, screen, bytes: data };
}

/** Draws the pointer over the pixels of an area. */
function drawCursor(pixels: Buffer, area: Area, { x, y, shape }: Cursor): void {
  if (!shape) return;
  const [left, top] = [x - shape.hotspot.x - area.x, y - shape.hotspot.y - area.y];
  for (let row = Math.max(0, -top); row < shape.height && top + row < area.h; row++) {
    for (let column = Math.max(0, -left); column < shape.width && left + column < area.w; column++) {
      const from = (row * shape.width + column) * CHANNELS;
      const to = ((top + row) * area.w + left + column) * CHANNELS;
      const rest = 255 - (shape.rgba[from + 3] ?? 0);
      for (let channel = 0; channel < 3; channel++) {
        const under = pixels[to + channel] ?? 0;
        pixels[to + channel] = Math.min(
          255,
          (shape.rgba[from + channel] ?? 0) + Math.round((under * rest) / 255),
        );
      }
    }
  }
}
