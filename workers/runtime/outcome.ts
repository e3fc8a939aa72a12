/** Thrown by a handler to requeue the job for `delayMs`. No attempt is spent. */
export class RequeueError extends Error {
  override name = 'RequeueError';
  readonly delayMs: number;
  /** Runs once the job is delayed; must not reject. */
  readonly onDelayed: (() => Promise<void>) | undefined;

  constructor(delayMs = 0, onDelayed?: () => Promise<void>) {
    super('requeued');
    this.delayMs = delayMs;
    this.onDelayed = onDelayed;
  }
}

/** Thrown by a handler to end the run as `cancelled`. */
export class CancelledError extends Error {
  override name = 'CancelledError';
}

/** Thrown by a handler to end the run as `timed_out`. */
export class TimedOutError extends Error {
  override name = 'TimedOutError';
}

/** Thrown by a handler to end this delivery after it moved the run to another queue. */
export class ForwardedError extends Error {
  override name = 'ForwardedError';
}

/** Why a job's signal was aborted. */
export type AbortReason = 'cancelled' | 'shutdown' | 'lock-lost' | 'timed-out';

/** The reason with which a signal was aborted. */
export const reasonOf = (signal: AbortSignal): AbortReason | undefined =>
  signal.aborted ? (signal.reason as AbortReason) : undefined;
