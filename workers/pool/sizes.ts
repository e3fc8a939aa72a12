import { ImageName } from '@warmwind/shared/contract/desktop-images';
import { jsonText } from '@warmwind/shared/runtime/json';
import { z } from 'zod';

/** Most instances of one image that a process keeps. */
const MAX_INSTANCES = 100;

/** The setting `WARM_POOL`: JSON of names of images and numbers of instances. */
export const WarmPoolSizes = jsonText(z.record(ImageName, z.number().int().min(0).max(MAX_INSTANCES)));

/** @returns how many instances a pool keeps, by Docker image */
export function sizesByImage(
  sizes: z.infer<typeof WarmPoolSizes>,
  images: Readonly<Record<string, string>>,
): ReadonlyMap<string, number> {
  const byImage = new Map<string, number>();
  for (const [name, size] of Object.entries(sizes)) {
    const image = images[name];
    if (image !== undefined && size > 0) byImage.set(image, (byImage.get(image) ?? 0) + size);
  }
  return byImage;
}
