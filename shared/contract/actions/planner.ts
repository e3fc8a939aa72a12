import type { Action, Button, Space } from './action.ts';
import { isShift, parseChord, withShift } from './chord.ts';
import { DRAG_MOVES, PACING } from './pacing.ts';
import { pictureOf } from './picture.ts';
import { type Pixel, type Size, toPixel } from './space.ts';
import type { Step } from './step.ts';

/** An action that can not be carried out as the desktop will be then. */
export class PlanError extends Error {
  override name = 'PlanError';
}

/** Options of {@link Planner}. */
export type PlannerOptions = {
  screen: Size;
  space: Space;
  pointer: Pixel;
  pressed?: { buttons: readonly Button[]; keysyms: readonly number[] };
};

type Keys = string | string[];
type Place = { x?: number | undefined; y?: number | undefined };
const wait = (ms: number): Step[] => (ms > 0 ? [{ do: 'wait', ms }] : []);

/** Turns actions into steps, and tracks where the pointer and what pressed will be. */
export class Planner {
  readonly #options: PlannerOptions;
  readonly #buttons: Set<Button>;
  readonly #keysyms: Set<number>;
  #pointer: Pixel;

  constructor(options: PlannerOptions) {
    this.#options = options;
    this.#pointer = options.pointer;
    this.#buttons = new Set(options.pressed?.buttons);
    this.#keysyms = new Set(options.pressed?.keysyms);
  }

  /** @throws PlanError, OutsideError or ChordError */
  steps(action: Action): Step[] {
    switch (action.type) {
      case 'click':
        return this.#holding(action.modifiers, () => this.#click(action));
      case 'move':
        return this.#holding(action.modifiers, () => [this.#moveTo(this.#pixel(action))]);
      case 'button_down':
        return [this.#press(action.button ?? 'left')];
      case 'button_up':
        return [this.#release(action.button ?? 'left')];
      case 'drag':
        return this.#holding(action.modifiers, () => this.#drag(action.path, action.button ?? 'left'));
      case 'scroll':
        return this.#holding(action.modifiers, () => this.#scroll(action));
      case 'type':
        return action.text === '' ? [] : [{ do: 'text', text: action.text }];
      case 'key':
        return this.#pressKeys(action);
      case 'key_down':
        return this.#keysDown(action.keys);
      case 'key_up':
        return this.#keysUp(action.keys);
      case 'wait':
        return wait(action.ms);
      case 'screenshot':
        return [{ do: 'picture', picture: pictureOf(action, this.#options.space, this.#options.screen) }];
    }
  }

  #pixel({ x, y }: Place): Pixel {
    const { space, screen } = this.#options;
    return x === undefined || y === undefined ? this.#pointer : toPixel({ x, y }, space, screen);
  }

  #moveTo(to: Pixel): Step {
    this.#pointer = to;
    return { do: 'move', ...to };
  }

  /** Moves to the place of an action, where it has one. */
  #goTo(place: Place): Step[] {
    return place.x === undefined ? [] : [this.#moveTo(this.#pixel(place)), ...wait(PACING.restMs)];
  }

  #press(button: Button): Step {
    if (this.#buttons.has(button)) throw new PlanError(`the ${button} button is pressed: release it first`);
    this.#buttons.add(button);
    return { do: 'press', button };
  }

  #release(button: Button): Step {
    if (!this.#buttons.delete(button))
      throw new PlanError(`the ${button} button is not pressed: press it first`);
    return { do: 'release', button };
  }

  #click(action: Extract<Action, { type: 'click' }>): Step[] {
    const { button = 'left', count = 1 } = action;
    const clicks = Array.from({ length: count }, (_, n) => [
      ...(n > 0 ? wait(PACING.betweenClicksMs) : []),
      this.#press(button),
      ...wait(PACING.pressMs),
      this.#release(button),
    ]);
    return [...this.#goTo(action), ...clicks.flat()];
  }

  #drag(path: Pixel[], button: Button): Step[] {
    const pixels = path.map((point) => this.#pixel(point));
    const [first = this.#pointer, ...rest] = pixels.length > 1 ? pixels : [this.#pointer, ...pixels];
    const start = pixels.length > 1 ? [this.#moveTo(first), ...wait(PACING.restMs)] : [];
    const press = this.#press(button);
    const moves = rest.flatMap((to) =>
      between(this.#pointer, to).flatMap((pixel) => [...wait(PACING.dragMoveMs), this.#moveTo(pixel)]),
    );
    const rested = wait(PACING.dragRestMs);
    return [...start, press, ...rested, ...moves, ...rested, this.#release(button)];
  }

  #scroll(action: Extract<Action, { type: 'scroll' }>): Step[] {
    const { dx = 0, dy = 0 } = action;
    const turn = (count: number, direction: 'up' | 'down' | 'left' | 'right'): Step[] =>
      Array.from({ length: Math.abs(count) }, (): Step[] => [
        { do: 'notch', direction },
        ...wait(PACING.notchMs),
      ]).flat();
    return [
      ...this.#goTo(action),
      ...turn(dy, dy < 0 ? 'up' : 'down'),
      ...turn(dx, dx < 0 ? 'left' : 'right'),
    ];
  }

  /** The keysyms of a chord, shifted while a held key is Shift. */
  #chord(keys: Keys): number[] {
    const shifts = [...this.#keysyms].some(isShift);
    return parseChord(keys).map((keysym) => (shifts ? withShift(keysym) : keysym));
  }

  /** Holds those keys of a chord that are not held yet. */
  #holding(keys: Keys | undefined, act: () => Step[]): Step[] {
    const pressed =
      keys === undefined ? [] : this.#chord(keys).filter((keysym) => !this.#keysyms.has(keysym));
    const down = pressed.map((keysym): Step => ({ do: 'key', keysym, down: true }));
    const up = pressed.toReversed().map((keysym): Step => ({ do: 'key', keysym, down: false }));
    return [...down, ...act(), ...up];
  }

  #pressKeys({ keys, count = 1, holdMs }: Extract<Action, { type: 'key' }>): Step[] {
    const once = this.#holding(keys, () => wait(holdMs ?? PACING.keyMs));
    return Array.from({ length: count }, (_, n) => [
      ...(n > 0 ? wait(PACING.betweenKeysMs) : []),
      ...once,
    ]).flat();
  }

  #keysDown(keys: Keys): Step[] {
    return this.#chord(keys).map((keysym) => {
      if (this.#keysyms.has(keysym))
        throw new PlanError(`a key of ${JSON.stringify(keys)} is pressed: release it first`);
      this.#keysyms.add(keysym);
      return { do: 'key', keysym, down: true };
    });
  }

  #keysUp(keys: Keys): Step[] {
    return parseChord(keys)
      .toReversed()
      .map((named) => {
        // It was pressed with or without Shift, whatever Shift is now.
        const keysym = [named, withShift(named)].find((form) => this.#keysyms.delete(form));
        if (keysym === undefined)
          throw new PlanError(`a key of ${JSON.stringify(keys)} is not pressed: press it first`);
        return { do: 'key', keysym, down: false };
      });
  }
}

/** The pixels of a straight move, without its start. */
function between(from: Pixel, to: Pixel): Pixel[] {
  const { everyPixels, least, most } = DRAG_MOVES;
  const far = Math.hypot(to.x - from.x, to.y - from.y);
  const moves = Math.min(most, Math.max(least, Math.ceil(far / everyPixels)));
  return Array.from({ length: moves }, (_, n) => ({
    x: Math.round(from.x + ((to.x - from.x) * (n + 1)) / moves),
    y: Math.round(from.y + ((to.y - from.y) * (n + 1)) / moves),
  }));
}
