import { z } from 'zod';

/** The settings that every Node service reads where it needs them, in addition to its own. */
export const NodeSettings = z.object({
  LOG_LEVEL: z
    .enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'])
    .default('info')
    .describe('Least level of the log lines that are written.'),
  HEALTH_HEAP_MB: z.coerce
    .number()
    .int()
    .min(16)
    .default(500)
    .describe('JavaScript heap above which the service reports that it is not alive.'),
  SHUTDOWN_TIMEOUT_MS: z.coerce
    .number()
    .int()
    .min(1000)
    .default(25_000)
    .describe('How long the service may drain after SIGTERM before it exits with 1.'),
});
