import { NodeSettings } from '../../engine/node/settings.ts';
import { readEnv } from '../env.ts';
import { withTimeout } from '../timeout.ts';
import type { Logger } from './log.ts';

/** One step of a shutdown and how long it may take, ms. */
export type DrainStep = { name: string; withinMs: number; run: () => Promise<unknown> };

const { SHUTDOWN_TIMEOUT_MS: TOTAL_MS } = readEnv(
  NodeSettings.pick({ SHUTDOWN_TIMEOUT_MS: true }),
  process.env,
);

/**
 * Runs `steps` one after another on SIGTERM or SIGINT and exits 0. A step that fails or exceeds its bound is
 * logged and skipped; after `SHUTDOWN_TIMEOUT_MS` the process exits 1. A second signal changes nothing.
 */
export function onShutdown(log: Logger, begin: () => void, steps: DrainStep[]): void {
  let begun = false;
  const shutdown = async (signal: string) => {
    if (begun) return;
    begun = true;
    begin();
    log.info({ signal }, 'draining');
    setTimeout(() => {
      log.error({ withinMs: TOTAL_MS }, 'drain took too long');
      process.exit(1);
    }, TOTAL_MS).unref();
    for (const step of steps) {
      await runStep(step).catch((error: unknown) =>
        log.warn({ step: step.name, err: error }, 'drain step failed'),
      );
    }
    log.info('drained');
    log.flush?.();
    process.exit(0);
  };
  process.on('SIGTERM', shutdown);
  process.on('SIGINT', shutdown);
}

const runStep = async ({ withinMs, run }: DrainStep): Promise<unknown> => withTimeout(run(), withinMs);
