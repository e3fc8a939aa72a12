import { readFileSync } from 'node:fs';
import { parseJson } from '@warmwind/shared/runtime/json';
import { z } from 'zod';

const Package = z.object({ version: z.string() });

/** The release of this worker. */
export const VERSION: string = parseJson(
  Package,
  readFileSync(new URL('./package.json', import.meta.url), 'utf8'),
).version;
