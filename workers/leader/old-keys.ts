import type { Logger } from '@warmwind/shared/node/log';
import { moveOldKeys } from '@warmwind/shared/node/old-keys';
import type { Redis } from 'ioredis';
import { loop } from '../loop.ts';

/** While releases overlap, an earlier one may still write keys under their former names. */
const EVERY_MS = 3_600_000;

/** Moves users' keys of earlier releases to their present names, now and every hour. Never rejects. */
export const renameOldKeys = (stores: Redis[], log: Logger, signal: AbortSignal): Promise<void> =>
  loop('old keys', log, signal, async () => {
    for (const redis of stores) {
      const moved = await moveOldKeys(redis, signal);
      if (moved > 0) log.info({ moved }, 'keys of an earlier release were renamed');
    }
    return EVERY_MS;
  });
