import {
  BetaAbstractComputerToolset20260801,
  type BetaComputerMemberResult,
  type BetaComputerToolsetOptions,
  type BetaToolsetCallContext,
} from '@anthropic-ai/sdk/helpers/beta/toolsets';
import type {
  BetaComputerHoldKeyInput,
  BetaComputerMemberInput,
  BetaComputerMemberName,
  BetaComputerWaitInput,
  BetaComputerZoomInput,
} from '@anthropic-ai/sdk/resources/beta';
import type { ActOutcome } from '../actions.ts';
import type { ContainerClient } from '../container.ts';
import { pause } from '../pause.ts';
import type { Picture } from '../picture.ts';
import { type DriverOptions, ModelScreen } from './model-screen.ts';

/** Options of the toolset: those of the SDK, and those of every driver. */
export type ComputerToolsetOptions = BetaComputerToolsetOptions & DriverOptions;

/** The longest wait or hold that a model may ask for, s. */
const MAX_SECONDS = 300;
/** A longer hold takes several calls, s. */
const HOLD_SECONDS = 20;
/** The pause between the calls of a longer hold, which keep control, ms. */
const HOLDING_MS = 4000;

/**
 * A desktop as the computer toolset of the Anthropic SDK, `computer_toolset_20260801`, with all of its members. The
 * SDK's tool runner calls it. A failure reaches the model as an error of the tool, and the runner does not carry out
 * the rest of the turn.
 *
 * The SDK requires `confirm`, because a model may type and press keys.
 *
 * @example
 * const toolset = new ComputerToolset(desktop, { confirm: () => true });
 * const runner = anthropic.beta.messages.toolRunner({
 *   model, max_tokens: 4096, tools: [toolset], messages: [{ role: 'user', content: 'Open the editor.' }],
 * });
 * const answer = await runner.runUntilDone();
 */
export class ComputerToolset extends BetaAbstractComputerToolset20260801 {
  readonly #screen: ModelScreen;

  constructor(container: ContainerClient, options: ComputerToolsetOptions) {
    super(options);
    this.#screen = new ModelScreen(container, options);
  }

  /** Carries out one member. Actions are sent as the model emitted them. */
  protected override async execute(
    { signal }: BetaToolsetCallContext,
    name: BetaComputerMemberName,
    input: BetaComputerMemberInput,
  ): Promise<BetaComputerMemberResult> {
    const abort = signal ?? undefined;
    switch (name) {
      case 'screenshot':
        return imageOf(await this.#screen.look(abort));
      case 'zoom':
        return imageOf(await this.#screen.zoom((input as BetaComputerZoomInput).region, abort));
      case 'cursor_position':
        return this.#screen.pointer(abort);
      case 'wait':
        return pause(secondsOf(input as BetaComputerWaitInput) * 1000, abort);
      case 'hold_key':
        if (secondsOf(input as BetaComputerHoldKeyInput) > HOLD_SECONDS)
          return this.#hold(input as BetaComputerHoldKeyInput, abort);
    }
    return remarkOf(
      await this.#screen.act([{ action: name, ...input }], { dialect: 'anthropic', signal: abort }),
    );
  }

  async #hold({ text, duration }: BetaComputerHoldKeyInput, signal?: AbortSignal): Promise<void> {
    const until = performance.now() + duration * 1000;
    await this.#screen.act([{ type: 'key_down', keys: text }], { settle: false, signal });
    try {
      for (let left = duration * 1000; left > 0; left = until - performance.now()) {
        await pause(Math.min(left, HOLDING_MS), signal);
        await this.#screen.act([{ type: 'wait', ms: 0 }], { settle: false, signal });
      }
    } finally {
      await this.#screen.act([{ type: 'key_up', keys: text }], {});
    }
  }
}

/** @throws RangeError when the duration is longer than a model may ask for */
function secondsOf({ duration }: { duration: number }): number {
  if (duration >= 0 && duration <= MAX_SECONDS) return duration;
  throw new RangeError(`duration must be 0 to ${MAX_SECONDS} seconds.`);
}

const imageOf = ({ base64, mediaType }: Picture) => ({ data: base64, mediaType });

/** @returns a line for the model about an action that painted nothing, or after which the screen did not settle */
function remarkOf({ results, settled }: ActOutcome): string | undefined {
  if (settled === 'timeout') return 'The screen is still changing.';
  const changed = results.some((result) => 'changed' in result && result.changed);
  return changed ? undefined : 'Nothing changed on the screen.';
}
