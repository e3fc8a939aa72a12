import type { ErrorDetails } from '@warmwind/shared/contract/errors';
import { MAX_IMAGE_PIXELS, MAX_IMAGE_SIDE } from '@warmwind/shared/contract/inference';
import { disableTypes, imageSize, types } from 'image-size';

/** How much of an image is inspected, characters of base64: headers come first. */
const HEAD_CHARS = 64 * 1024;
const READABLE = ['png', 'jpg', 'bmp', 'webp', 'pnm'];

disableTypes(types.filter((type) => !READABLE.includes(type)));

/** Checks the size of an image (base64) as its header declares it; the reader checks the rest. */
export function imageIssues(image: string | undefined): NonNullable<ErrorDetails['issues']> {
  const size = image === undefined ? undefined : sizeOf(image);
  if (!size) return [];
  const { width, height } = size;
  if (Math.max(width, height) <= MAX_IMAGE_SIDE && width * height <= MAX_IMAGE_PIXELS) return [];
  const most = `${MAX_IMAGE_SIDE} pixels a side and ${MAX_IMAGE_PIXELS} in all`;
  return [{ path: 'image', message: `${width} × ${height} pixels are too many: at most ${most}` }];
}

function sizeOf(image: string): { width: number; height: number } | undefined {
  try {
    return imageSize(Uint8Array.from(atob(image.slice(0, HEAD_CHARS)), (char) => char.charCodeAt(0)));
  } catch {
    return undefined;
  }
}
