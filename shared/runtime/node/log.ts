import { type Logger, pino } from 'pino';

export type { Logger };

/** Whatever stands under these names is never written, at any of the usual depths. */
const SECRETS = ['token', 'authorization', 'password', 'secret', 'authSecret', 'env'];

/** Structured JSON lines on stdout. `LOG_LEVEL` chooses what is written (default `info`). */
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

/** An error without what libraries attach to it: ioredis puts a command's arguments there, AUTH's among them. */
function serializeError(error: unknown): unknown {
  if (!(error instanceof Error)) return { message: String(error) };
  return { type: error.name, message: error.message, stack: error.stack };
}
