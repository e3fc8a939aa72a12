/** Thrown by a handler: the job waits again for `delayMs`, no attempt is spent. */
export class RequeueError extends Error {
  override name = 'HandBack';
  readonly delayMs: number;
  /** Runs once the job is delayed; must not reject. */
  readonly onDelayed: (() => Promise<void>) | undefined;

  constructor(delayMs = 0, onDelayed?: () => Promise<void>) {
    super('handed back');
    this.delayMs = delayMs;
    this.onDelayed = onDelayed;
  }
}

/** Thrown by a handler: the run ends `cancelled`. */
export class CancelledError extends Error {
  override name = 'Cancelled';
}

/** Thrown by a handler: the run goes on in another queue, this delivery is done. */
export class ForwardedError extends Error {
  override name = 'Forwarded';
}

/** Why a job's signal was aborted. */
export type AbortReason = 'cancelled' | 'shutdown' | 'lock-lost' | 'timed-out';

/** The reason of an aborted signal as it was given. */
export const reasonOf = (signal: AbortSignal): AbortReason | undefined =>
  signal.aborted ? (signal.reason as AbortReason) : undefined;
