import { ApiError } from '../errors.ts';
import {
  type Action,
  type Button,
  MAX_CALL_MS,
  MAX_PICTURES,
  type PictureOptions,
  type Space,
} from './action.ts';
import { ChordError } from './chord.ts';
import { DIALECTS, typeOf } from './dialects/dialect.ts';
import { UnmappedActionError } from './dialects/vocabulary.ts';
import type { ActionsInput } from './input.ts';
import { typingMs } from './pacing.ts';
import { pictureOf } from './picture.ts';
import { PlanError, Planner } from './planner.ts';
import { OutsideError, type Pixel, type Size, sizeOf } from './space.ts';
import type { Picture, Step } from './step.ts';
import { charactersOf } from './typed-text.ts';

/** The desktop before the call. Pixels. */
export type PlanContext = {
  screen: Size;
  pointer: Pixel;
  /** The buttons and keys that earlier calls of this holder of control left pressed. */
  pressed?: { buttons: readonly Button[]; keysyms: readonly number[] };
};

/** One action of the request, as what is done for it. */
export type PlannedAction = {
  /** As its vocabulary spells it. */
  type: string;
  /** Characters that it types. */
  chars: number;
  steps: Step[];
};

/** A call that was checked. `picture`: taken at the end. */
export type ActionPlan = { actions: PlannedAction[]; picture?: Picture };

/**
 * Plans a call: maps its actions from their vocabulary, scales points from `space` to pixels, and checks
 * everything that can be checked before the first effect.
 * @throws ApiError `bad_request` with the index of the action that can not be carried out
 */
export function planActions(input: ActionsInput, context: PlanContext): ActionPlan {
  const { screen } = context;
  const dialect = DIALECTS[input.dialect];
  const space = input.space ?? dialect.space;
  const each = input.screenshot !== false && input.screenshot.when === 'each' ? input.screenshot : undefined;
  const planner = new Planner({ ...context, space });
  let [totalMs, pictures] = [0, 0];
  const actions = input.actions.map((raw, index) =>
    atAction(index, () => {
      const actions: Action[] = dialect.map(dialect.schema.parse(raw), {
        screen,
        space: sizeOf(space, screen),
      });
      const steps = actions.flatMap((action) => planner.steps(action));
      if (each && !steps.some(isPicture))
        steps.push({ do: 'picture', picture: pictureOf(each, space, screen) });
      totalMs += sum(steps.map(durationMs));
      if (totalMs > MAX_CALL_MS)
        throw new PlanError(
          `waits, holds and typing up to here take ${totalMs} ms, more than ${MAX_CALL_MS}: send several calls`,
        );
      pictures += steps.filter(isPicture).length;
      if (pictures > MAX_PICTURES)
        throw new PlanError(`this is picture ${pictures} of at most ${MAX_PICTURES}: send several calls`);
      const chars = sum(steps.map((step) => (step.do === 'text' ? charactersOf(step.text).length : 0)));
      return { type: typeOf(raw), chars, steps };
    }),
  );
  if (input.screenshot === false || each) return { actions };
  if (pictures === MAX_PICTURES) refuse('screenshot', `at most ${MAX_PICTURES} pictures: leave one out`);
  return { actions, picture: lastPicture(input.screenshot, space, screen) };
}

const isPicture = (step: Step): boolean => step.do === 'picture';
const sum = (numbers: number[]): number => numbers.reduce((total, n) => total + n, 0);

function durationMs(step: Step): number {
  if (step.do === 'text') return typingMs(step.text);
  return step.do === 'wait' ? step.ms : 0;
}

function lastPicture(options: PictureOptions, space: Space, screen: Size): Picture {
  try {
    return pictureOf(options, space, screen);
  } catch (error) {
    if (error instanceof OutsideError) refuse('screenshot.region', error.message);
    throw error;
  }
}

/** Gives what an action is refused for the action's index. */
function atAction<T>(index: number, plan: () => T): T {
  try {
    return plan();
  } catch (error) {
    const isRefusal = [PlanError, OutsideError, ChordError, UnmappedActionError].some(
      (kind) => error instanceof kind,
    );
    if (isRefusal) refuse(`actions.${index}`, (error as Error).message);
    throw error;
  }
}

function refuse(path: string, message: string): never {
  throw new ApiError('bad_request', `Nothing was done: ${path}: ${message}.`, {
    issues: [{ path, message }],
  });
}
