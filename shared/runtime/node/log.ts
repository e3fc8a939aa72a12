import { type Logger, pino } from 'pino';

export type { Logger };

/** Values under these names are never written, down to two levels of nesting. */
const SECRETS = ['token', 'authorization', 'password', 'secret', 'authSecret', 'env'];

/**
 * Creates a logger of structured JSON lines on stdout. `LOG_LEVEL` is the least level that is written
 * (default `info`).
 */
export function createLog(service: string, bindings: Record<string, unknown> = {}): Logger {
  return pino({
    level: process.env.LOG_LEVEL || 'info',
    base: { service, ...bindings },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (level) => ({ level }) },
    redact: { paths: SECRETS.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]), censor: '[redacted]' },
    serializers: { err: serializeError },
  });
}

/**
 * Serializes an error without the properties that libraries attach: ioredis adds the command's arguments,
 * those of AUTH among them.
 */
function serializeError(error: unknown): unknown {
  if (!(error instanceof Error)) return { message: String(error) };
  return { type: error.name, message: error.message, stack: error.stack };
}
