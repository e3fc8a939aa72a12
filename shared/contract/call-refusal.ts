import type { CallCommand } from './command.ts';
import { type Container, notRunning } from './containers.ts';
import { ApiError } from './errors.ts';

/** The error of a request for an incarnation that is no longer the present one. */
export const goneIncarnation = (): ApiError =>
  new ApiError(
    'gone_incarnation',
    'The desktop is not the one that this request was made for: read it again, and send its incarnation.',
  );

/** The error of a call that was begun, or may have been, and whose answer is lost. */
export const outcomeUnknown = (): ApiError =>
  new ApiError(
    'outcome_unknown',
    'It is unknown whether this was carried out: look at the desktop, or send it again with the same Idempotency-Key.',
  );

/** The error of a call without effect that its container's host did not answer. */
export const callTimedOut = (): ApiError =>
  new ApiError('upstream_timeout', "The desktop's host did not answer in time: ask again.");

/**
 * Checks that a container can take a call.
 * @param incarnation the one that the request is for; any if left out
 * @throws ApiError `gone_incarnation` or `conflict`
 */
export function checkCall(
  { requires }: CallCommand,
  container: Pick<Container, 'state' | 'incarnation'>,
  incarnation: number | undefined,
): void {
  if (incarnation !== undefined && incarnation !== container.incarnation) throw goneIncarnation();
  if (!requires.includes(container.state)) throw new ApiError('conflict', notRunning(container.state));
}
