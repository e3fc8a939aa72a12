import type { PictureOptions, Space } from './action.ts';
import { type Size, toPixels } from './space.ts';
import type { Picture } from './step.ts';

/**
 * Scales the region of a picture to pixels of the screen.
 * @throws OutsideError for a region that is not within its space
 */
export function pictureOf(options: PictureOptions, space: Space, screen: Size): Picture {
  const { format, quality, maxWidth, maxHeight, region, cursor } = options;
  return {
    ...(format && { format }),
    ...(quality && { quality }),
    ...(maxWidth && { maxWidth }),
    ...(maxHeight && { maxHeight }),
    ...(cursor !== undefined && { cursor }),
    ...(region && { region: toPixels(region, space, screen) }),
  };
}
