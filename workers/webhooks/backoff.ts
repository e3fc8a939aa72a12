import type { Job } from 'bullmq';

/** The first pause between two tries, ms; each is twice the one before, up to the longest, ± jitter. */
const FIRST_PAUSE_MS = 5000;
const LONGEST_PAUSE_MS = 3 * 3_600_000;
const JITTER = 0.25;
/**
 * First wait of a webhook whose user or receiver has used its share, ms; it doubles each time, up to the
 * longest.
 */
const FIRST_WAIT_MS = 200;
const LONGEST_WAIT_MS = 30_000;

/** A random factor of a pause. */
export const jitter = (): number => 1 - JITTER + 2 * JITTER * Math.random();

/**
 * The pause after a try that failed, ms.
 * @param of.attempts tries that have ended
 */
export const backoffMs = ({
  attempts,
  firstMs = FIRST_PAUSE_MS,
  factor = 1,
}: {
  attempts: number;
  firstMs: number | undefined;
  factor: number | undefined;
}): number => Math.round(factor * Math.min(firstMs * 2 ** (attempts - 1), LONGEST_PAUSE_MS));

/** Delay of a webhook whose share is used up, ms: longer each time, so that many of them cost little. */
export function turnMs({ attemptsStarted, attemptsMade }: Job): number {
  const before = Math.max(0, attemptsStarted - attemptsMade - 1);
  return Math.min(FIRST_WAIT_MS * 2 ** before, LONGEST_WAIT_MS) * (0.5 + Math.random());
}
