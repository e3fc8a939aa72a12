import { setTimeout as sleep } from 'node:timers/promises';
import type { ActionPicture, ActionResult } from '@warmwind/shared/contract/actions/answer';
import type { PlannedAction } from '@warmwind/shared/contract/actions/plan';
import type { Step } from '@warmwind/shared/contract/actions/step';
import { ApiError } from '@warmwind/shared/contract/errors';
import type { DamageMark } from '../framebuffer/session.ts';
import { typeText } from '../screen/typing.ts';
import type { CallInput } from './input.ts';
import type { CallPictures } from './pictures.ts';

/** The last steps of a call that may follow its answer take at most this long, ms. */
const MAX_TAIL_MS = 60;

export type ActionRunOptions = {
  input: CallInput;
  pictures: CallPictures;
  /** Collects what is painted. */
  mark: DamageMark;
  /** Aborted when the caller has gone, the container has ended, or control was lost. */
  signal: AbortSignal;
};

/** Carries out the actions of one call in order, until one fails. */
export class ActionRun {
  readonly results: ActionResult[] = [];
  stoppedAt: number | undefined;
  readonly #o: ActionRunOptions;

  constructor(options: ActionRunOptions) {
    this.#o = options;
  }

  /**
   * Carries out all actions.
   * @throws the reason of the signal, unless it is an ApiError
   */
  async all(actions: readonly PlannedAction[]): Promise<void> {
    for (const [index, action] of actions.entries()) {
      this.markChanges();
      if (this.stoppedAt !== undefined) this.results.push({ skipped: true });
      else if (!(await this.#one(action))) this.stoppedAt = index;
    }
  }

  get signal(): AbortSignal {
    return this.#o.signal;
  }

  /** Carries out the last steps after the answer. Never rejects. */
  async tail(steps: readonly Step[]): Promise<void> {
    const { input } = this.#o;
    try {
      for (const step of steps) {
        if (step.do === 'wait') await sleep(step.ms);
        else if (step.do === 'release' || step.do === 'key') await input.step(step);
      }
    } catch {
      await input.release();
    }
  }

  /** Adds what has been painted since the last action began to its result. */
  markChanges(): void {
    const area = this.#o.mark.take();
    const last = this.results.at(-1);
    if (!area || !last || !('ok' in last) || !last.ok) return;
    last.changed = true;
    last.damage = { x: area.x, y: area.y, width: area.w, height: area.h };
  }

  /** @returns whether the action was carried out */
  async #one({ steps, chars }: PlannedAction): Promise<boolean> {
    const { signal } = this.#o;
    const begunAt = performance.now();
    const done: { delivered?: number; screenshot?: ActionPicture } = chars > 0 ? { delivered: 0 } : {};
    try {
      for (const step of steps) await this.#step(step, done);
      signal.throwIfAborted();
      this.results.push({
        ok: true,
        changed: false,
        ...done,
        tookMs: Math.round(performance.now() - begunAt),
      });
      return true;
    } catch (thrown) {
      const error = signal.aborted ? signal.reason : thrown;
      if (!(error instanceof ApiError)) throw error;
      const { code, message } = error;
      const { delivered } = done;
      this.results.push({
        ok: false,
        error: { code, message },
        ...(delivered === undefined ? {} : { delivered }),
      });
      return false;
    }
  }

  async #step(step: Step, done: { delivered?: number; screenshot?: ActionPicture }): Promise<void> {
    const { input, pictures, signal } = this.#o;
    signal.throwIfAborted();
    if (step.do === 'wait') await sleep(step.ms, undefined, { signal });
    else if (step.do === 'picture') done.screenshot = await pictures.take(step.picture);
    else if (step.do === 'text') {
      await typeText(step.text, {
        key: (keysym, down) => input.key(keysym, down),
        signal,
        onTyped: () => {
          done.delivered = (done.delivered ?? 0) + 1;
        },
      });
      signal.throwIfAborted();
    } else await input.step(step);
  }
}

/** Does the step take control of the desktop from others? */
export const presses = ({ do: what }: Step): boolean =>
  what === 'press' || what === 'notch' || what === 'key' || what === 'text';

/**
 * Splits off the last steps of an action that only wait for a moment and release.
 * @returns the steps before and those
 */
export function splitTail(steps: readonly Step[]): [Step[], Step[]] {
  let at = steps.length;
  let ms = 0;
  for (; at > 0; at--) {
    const step = steps[at - 1];
    if (step?.do === 'wait') ms += step.ms;
    else if (step?.do !== 'release' && !(step?.do === 'key' && !step.down)) break;
    if (ms > MAX_TAIL_MS) break;
  }
  return [steps.slice(0, at), steps.slice(at)];
}
