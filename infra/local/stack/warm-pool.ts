import { DesktopImages } from '@warmwind/shared/contract/desktop-images';

/** Memory of the machine from which on each worker of the stack keeps one desktop ready: it reserves 512 MB. */
const LEAST_BYTES = 8 * 2 ** 30;

/**
 * The warm pool of each worker of the stack when the environment names none: one desktop of the default image,
 * where the machine has the memory.
 */
export function usualWarmPool(env: Readonly<Record<string, string>>, totalBytes: number): string {
  const { data = {} } = DesktopImages.safeParse(env.DESKTOP_IMAGES);
  const [first] = Object.keys(data);
  return JSON.stringify(first === undefined || totalBytes < LEAST_BYTES ? {} : { [first]: 1 });
}
