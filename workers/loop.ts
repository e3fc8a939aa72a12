import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '@warmwind/shared/runtime/node/log';

/** What failed is tried again after this, ms. */
const RETRY_MS = 1000;

/**
 * Does `work` again and again until `signal` is aborted, never twice at once. It says after how many ms it is due again.
 * What fails is tried again; one line for each loss and each return is enough. Never rejects.
 */
export async function loop(
  name: string,
  log: Logger,
  signal: AbortSignal,
  work: () => Promise<number>,
): Promise<void> {
  let failed = false;
  while (!signal.aborted) {
    let againMs = RETRY_MS;
    try {
      againMs = await work();
      if (failed) log.info({ loop: name }, 'goes on');
      failed = false;
    } catch (error) {
      if (!failed && !signal.aborted) log.warn({ loop: name, err: error }, 'failed, tried again');
      failed = true;
    }
    await sleep(againMs, undefined, { signal }).catch(() => undefined);
  }
}
