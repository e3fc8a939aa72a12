import type { ActionPicture, ActionResult, ActionsAnswer } from '@warmwind/shared/contract/actions/answer';
import type { ActionsInput } from '@warmwind/shared/contract/actions/input';
import {
  type ActionPlan,
  type PlanContext,
  type PlannedAction,
  planActions,
} from '@warmwind/shared/contract/actions/plan';
import type { Step } from '@warmwind/shared/contract/actions/step';
import { ApiError } from '@warmwind/shared/contract/errors';
import type { Redis } from 'ioredis';
import type { DesktopFramebuffer } from '../framebuffer/desktop.ts';
import type { Framebuffer } from '../framebuffer/session.ts';
import type { InputGate } from '../screen/input.ts';
import type { Screenshots } from '../screen/screenshot.ts';
import { AgentControl, controlHeld } from './control.ts';
import { CallInput, pressedOf } from './input.ts';
import { CallPictures } from './pictures.ts';
import { ActionRun, presses, splitTail } from './run.ts';

/** A call with actions on one desktop. */
export type ActionCall = {
  userId: string;
  credential: string;
  incarnation: number;
  input: ActionsInput;
  /** Aborted when the caller has gone, the deadline has passed, or the desktop has ended. */
  signal: AbortSignal;
};

/** A call that has ended, with what was planned, and the results of what was begun. */
export type ActionsDone = { call: ActionCall; actions: PlannedAction[]; results: ActionResult[] };

export type ActionDeskOptions = {
  containerId: string;
  /** The realtime Redis, a fail-fast connection. */
  redis: Redis;
  framebuffer: DesktopFramebuffer;
  screenshots: Screenshots;
  /** Passes the input of agents. */
  gate: InputGate;
  /** Called after each call that began. */
  onDone: (done: ActionsDone) => void;
};

/** Carries out the calls with actions on one desktop, one after the other. */
export class ActionDesk {
  readonly #o: ActionDeskOptions;
  /** Resolves when the last steps of the call before have been carried out. */
  #tail: Promise<void> = Promise.resolve();
  #lost: AbortController | undefined;

  constructor(options: ActionDeskOptions) {
    this.#o = options;
  }

  /** Ends the call in progress, if its agent holds control no longer. */
  controlChanged(): void {
    this.#lost?.abort(controlHeld());
  }

  /**
   * Carries out a call.
   * @throws ApiError before anything was done, or when the last picture can't be taken
   * @throws the reason of the call's signal, after what the call pressed was released
   */
  async run(call: ActionCall): Promise<ActionsAnswer> {
    const { framebuffer } = this.#o;
    try {
      return await framebuffer.use((open) => this.#run(call, open));
    } catch (error) {
      call.signal.throwIfAborted();
      if (error instanceof ApiError) throw error;
      throw new ApiError('unavailable', NOT_REACHED, { retryAfterMs: 1000 });
    }
  }

  async #run(call: ActionCall, framebuffer: Framebuffer): Promise<ActionsAnswer> {
    const { gate, redis, containerId, screenshots } = this.#o;
    await this.#tail;
    const { userId, credential } = call;
    const control = new AgentControl({ redis, containerId, userId, credential, gate });
    const plan = planActions(call.input, this.#context(framebuffer, control));
    const steps = plan.actions.flatMap((action) => action.steps);
    const lost = new AbortController();
    if (steps.some(acts)) {
      await control.acquire(call.input.control === 'take' && steps.some(presses) ? 'take' : 'request');
      this.#lost = lost;
    }
    const input = new CallInput(gate, control, framebuffer.cursor);
    const pictures = new CallPictures(framebuffer, screenshots, userId);
    const mark = framebuffer.mark();
    const stopWatching = framebuffer.watch();
    const signal = AbortSignal.any([call.signal, lost.signal]);
    const run = new ActionRun({ input, pictures, mark, signal });
    let isDone = false;
    try {
      const settled = await this.#carryOut(call, plan, run, framebuffer);
      isDone = run.stoppedAt === undefined;
      const screenshot = plan.picture && isDone ? await pictures.take(plan.picture) : undefined;
      return answerOf(call, run, framebuffer, { settled, screenshot });
    } finally {
      this.#lost = undefined;
      mark.end();
      stopWatching();
      if (!isDone) await input.release();
      void control.end();
      this.#o.onDone({ call, actions: plan.actions, results: run.results });
    }
  }

  #context({ pixels, cursor }: Framebuffer, control: AgentControl): PlanContext {
    const { gate } = this.#o;
    const pointer = { x: cursor.x, y: cursor.y };
    const pressed = gate.isHeldBy(control.name) ? { pressed: pressedOf(gate) } : {};
    return { screen: pixels.size, pointer, ...pressed };
  }

  /** @returns how the wait after the last action ended */
  async #carryOut(
    { input: { settle } }: ActionCall,
    { actions, picture }: ActionPlan,
    run: ActionRun,
    framebuffer: Framebuffer,
  ): Promise<ActionsAnswer['settled']> {
    const last = actions.at(-1);
    const [steps, tail] = settle === false && !picture && last ? splitTail(last.steps) : [last?.steps, []];
    await run.all(last && steps ? [...actions.slice(0, -1), { ...last, steps }] : actions);
    let settled: ActionsAnswer['settled'] = 'off';
    if (run.stoppedAt === undefined) {
      if (tail.length > 0) this.#tail = run.tail(tail);
      if (settle) settled = await framebuffer.quiet(settle.quietMs, settle.maxMs, run.signal);
      await framebuffer.sync();
    }
    run.markChanges();
    return settled;
  }
}

const NOT_REACHED =
  'The desktop did not send its screen, or takes no input. Check that it runs, and look at it before you retry.';

const acts = (step: Step): boolean => step.do === 'move' || step.do === 'release' || presses(step);

function answerOf(
  { incarnation }: ActionCall,
  { results, stoppedAt }: ActionRun,
  { pixels, cursor: { x, y } }: Framebuffer,
  { settled, screenshot }: { settled: ActionsAnswer['settled']; screenshot: ActionPicture | undefined },
): ActionsAnswer {
  return {
    results,
    ...(stoppedAt === undefined ? {} : { stoppedAt }),
    settled,
    cursor: { x, y },
    screen: { ...pixels.size },
    incarnation,
    ...(screenshot ? { screenshot } : {}),
  };
}
