import { join } from 'node:path';
import { configuration } from './configuration.ts';
import { errors } from './errors.ts';
import { events } from './events.ts';
import { metrics } from './metrics.ts';
import { redisKeys } from './redis-keys.ts';

/** The checkout's root. */
export const ROOT = join(import.meta.dirname, '../../..');

/** The pages of `docs/reference`, by file name. */
export const referencePages = (): Record<string, string> => ({
  'configuration.md': configuration(),
  'errors.md': errors(),
  'events.md': events(),
  'metrics.md': metrics(),
  'redis-keys.md': redisKeys(),
});

/** The path of a page of the reference. */
export const referencePath = (name: string): string => join(ROOT, 'docs/reference', name);
