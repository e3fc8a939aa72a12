import type { CallCommand } from './command.ts';
import { type Container, type ContainerState, notRunning, takes } from './containers.ts';
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
 * Checks that a container can take a command that requires one of these states.
 * @throws ApiError `paused` or `conflict`
 */
export function checkState(
  requires: readonly ContainerState[],
  container: Pick<Container, 'state' | 'pausedBy'>,
): void {
  if (takes(requires, container)) return;
  throw refusedState(container.state);
}

/** The error of a request to a container in a state in which it does not take it. */
export const refusedState = (state: ContainerState): ApiError =>
  new ApiError(state === 'paused' ? 'paused' : 'conflict', notRunning(state));

/**
 * Checks that a container can take a call.
 * @param incarnation the one that the request is for; any if left out
 * @throws ApiError `gone_incarnation`, `paused` or `conflict`
 */
export function checkCall(
  { requires }: CallCommand,
  container: Pick<Container, 'state' | 'pausedBy' | 'incarnation'>,
  incarnation: number | undefined,
): void {
  if (incarnation !== undefined && incarnation !== container.incarnation) throw goneIncarnation();
  checkState(requires, container);
}
