import { z } from 'zod';
import { jsonText } from '../runtime/json.ts';

/** The name of an image of desktops in requests and settings. */
export const ImageName = z.string().regex(/^[a-z0-9][a-z0-9._-]{0,63}$/);

/** The setting `DESKTOP_IMAGES`: JSON of names and Docker images. The first one is the default. */
export const DesktopImages = jsonText(
  z
    .record(ImageName, z.string().min(1).max(255))
    .refine((images) => Object.keys(images).length > 0, 'offer at least one image'),
).prefault('{"desktop":"warmwind/desktop:latest"}');
