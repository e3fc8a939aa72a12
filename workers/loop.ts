import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '@warmwind/shared/runtime/node/log';

/** Pause before failed work is tried again, ms. */
const RETRY_MS = 1000;

/**
 * Repeats `work` until `signal` is aborted, never twice at once. Failed work is tried again; the first
 * failure and the recovery are logged, the failures in between are not. Never rejects.
 * @param work resolves with the time until it is due again, ms
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
      if (failed) log.info({ loop: name }, 'recovered');
      failed = false;
    } catch (error) {
      if (!failed && !signal.aborted) log.warn({ loop: name, err: error }, 'failed, retrying');
      failed = true;
    }
    await sleep(againMs, undefined, { signal }).catch(() => undefined);
  }
}
