import { moveOldKeys } from '@warmwind/shared/engine/node/old-keys';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import type { Redis } from 'ioredis';

/** Renames users' keys of earlier releases. While releases overlap, an earlier one may write more of them. */
export async function renameOldKeys(stores: Redis[], log: Logger, signal: AbortSignal): Promise<void> {
  for (const redis of stores) {
    const moved = await moveOldKeys(redis, signal);
    if (moved > 0) log.info({ moved }, 'keys of an earlier release were renamed');
  }
}
