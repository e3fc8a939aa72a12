import { z } from 'zod';

/** How a session ended. */
export const SESSION_CODES = [
  'completed',
  'failed',
  'aborted',
  'deadline_exceeded',
  'idle_timeout',
  'too_large',
  'lost',
  'protocol_error',
  'container_ended',
  'worker_stopping',
] as const;
export type SessionCode = (typeof SESSION_CODES)[number];

/** How long a session waits for its client to attach again, ms. */
export const SESSION_GRACE_MS = 30_000;
/** An attachment that is silent for so long has ended, ms: each end sends something every five seconds. */
export const SESSION_SILENT_MS = 15_000;

/** A position in a direction of a session. */
export const SessionOffset = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
