import type { ActionPicture, ActionResult, ActionsAnswer } from '../contract/actions/answer.ts';
import type { CallInput, ContainerCallOptions } from './calls.ts';
import { WarmwindError } from './errors.ts';
import { Picture } from './picture.ts';

/** An action of this platform, or with `dialect` the action of a model, verbatim. */
export type InputAction = SentAction | object;
/** An action as the definition of the call types it. */
export type SentAction = CallInput<'container.actions'>['actions'][number];

/**
 * Options of actions. `space` names what points are measured in, `settle` when the screen counts as quiet,
 * `screenshot` asks for pictures, `control` decides whether control is taken from a person.
 */
export type ActOptions = ContainerCallOptions &
  Omit<CallInput<'container.actions'>, 'actions' | 'containerId'>;

type WithPicture<T> = Omit<T, 'screenshot'> & { screenshot?: Picture };
type Done = Extract<ActionResult, { ok: true }>;

/** The result of one action. */
export type ActResult = WithPicture<Done> | Exclude<ActionResult, { ok: true }>;

/** The outcome of a call with actions. */
export type ActOutcome = WithPicture<Omit<ActionsAnswer, 'results'>> & {
  /** One for each action, in order. */
  results: ActResult[];
};

/** The outcome of a call with one action. */
export type ActionOutcome = WithPicture<Done> & Omit<ActOutcome, 'results' | 'stoppedAt'>;

/** An action failed. The actions before it were carried out, those after it were not begun. */
export class ActionError extends WarmwindError {
  override name = 'ActionError';
  readonly code: string;
  /** The index of the action that failed. */
  readonly index: number;
  /** The result of each action, and the state of the screen after them. */
  readonly outcome: ActOutcome;

  constructor(index: number, { code, message }: { code: string; message: string }, outcome: ActOutcome) {
    super(message);
    this.code = code;
    this.index = index;
    this.outcome = outcome;
  }
}

/**
 * Reads the answer of a call with actions.
 *
 * @throws ActionError when one of them failed
 */
export function outcomeOf(answer: ActionsAnswer): ActOutcome {
  const { screen } = answer;
  const results = answer.results.map((result) => resultOf(result, screen));
  const outcome: ActOutcome = { ...withPicture(answer, screen), results };
  const index = outcome.results.findIndex((result) => 'ok' in result && !result.ok);
  const failed = outcome.results[index];
  if (failed && 'error' in failed) throw new ActionError(index, failed.error, outcome);
  return outcome;
}

type Size = ActionsAnswer['screen'];

const resultOf = (result: ActionResult, screen: Size): ActResult =>
  'ok' in result && result.ok ? withPicture(result, screen) : (result as ActResult);

function withPicture<T extends { screenshot?: ActionPicture | undefined }>(
  answer: T,
  screen: Size,
): WithPicture<T> {
  const { screenshot, ...rest } = answer;
  return {
    ...rest,
    ...(screenshot ? { screenshot: new Picture({ ...screenshot, screen }, screenshot.data) } : {}),
  };
}
