import { ActionError, type ActOptions, type ActOutcome, type InputAction } from '../actions.ts';
import type { ContainerClient } from '../container.ts';
import { ApiError } from '../http-errors.ts';
import type { Picture } from '../picture.ts';
import type { PictureFormat } from '../screenshot.ts';

/** Options of every driver. */
export type DriverOptions = {
  /**
   * The longest side of pictures, pixels; a larger screen is scaled down. Default: 1568, which every model takes.
   * Newer models take 2576, and 2000 in a request with more than 20 pictures.
   */
  maxSide?: number;
  /** The format of pictures. Default: `png`. */
  format?: PictureFormat;
  /** When an action counts as done: see `act`. */
  settle?: ActOptions['settle'];
  /** Whether the model takes control from a person: see `act`. Default: `fail`. */
  control?: ActOptions['control'];
};

/** The picture after the model's actions, and the reason when they failed. */
export type Attempt = { picture: Picture; failure?: string };

/** Refusals that concern the actions, and not the container or the connection. */
const OF_ACTIONS: readonly string[] = ['bad_request', 'control_held', 'busy', 'outcome_unknown'];

/** @returns the message for the model about a failure of its actions; `undefined` for any other error */
function failureOf(error: unknown): string | undefined {
  if (error instanceof ActionError) return `Action ${error.index + 1} failed: ${error.message} ${REST}`;
  if (error instanceof ApiError && OF_ACTIONS.includes(error.code))
    return `The actions failed: ${error.message}`;
  return undefined;
}
const REST = 'The actions after it were not carried out.';

/** The longest side that every model takes, pixels. */
const MAX_SIDE = 1568;

type Size = { width: number; height: number };

/** The screen of a container as a model sees it. Points are measured in the last complete picture. */
export class ModelScreen {
  readonly #container: ContainerClient;
  readonly #options: DriverOptions;
  #seen: { space: Size; screen: Size } | undefined;

  constructor(container: ContainerClient, options: DriverOptions) {
    this.#container = container;
    this.#options = options;
  }

  /** Takes a picture of the complete screen. Later points are measured in it. */
  async look(signal?: AbortSignal): Promise<Picture> {
    return this.#remember(await this.#container.screenshot({ ...this.#fit, cursor: true }, { signal }));
  }

  /**
   * Takes a picture of a part of the screen, in the screen's own pixels. Points still mean the complete picture.
   *
   * @param region left, top, right and bottom edge, in the last complete picture
   * @throws RangeError when the region is empty or outside of the picture
   */
  async zoom(region: readonly number[], signal?: AbortSignal): Promise<Picture> {
    const { space, screen } = await this.#known(signal);
    const [left = 0, top = 0, right = 0, bottom = 0] = region;
    if (
      !(
        left >= 0 &&
        top >= 0 &&
        left < right &&
        top < bottom &&
        right <= space.width &&
        bottom <= space.height
      )
    )
      throw new RangeError(`region must be x0, y0, x1, y1 within ${space.width} × ${space.height}.`);
    const x = Math.floor((left * screen.width) / space.width);
    const y = Math.floor((top * screen.height) / space.height);
    const width = Math.ceil((right * screen.width) / space.width) - x;
    const height = Math.ceil((bottom * screen.height) / space.height) - y;
    return this.#container.screenshot({ ...this.#fit, region: { x, y, width, height } }, { signal });
  }

  /** @returns where the pointer is, in pixels of the last complete picture */
  async pointer(signal?: AbortSignal): Promise<{ x: number; y: number }> {
    const { space } = await this.#known(signal);
    const { cursor, screen } = await this.#container.act([{ type: 'wait', ms: 0 }], {
      settle: false,
      signal,
    });
    // The platform maps a picture's corners to those of the screen.
    const scaled = (value: number, from: number, to: number) => Math.round((value * (to - 1)) / (from - 1));
    return {
      x: scaled(cursor.x, screen.width, space.width),
      y: scaled(cursor.y, screen.height, space.height),
    };
  }

  /**
   * Carries out the model's actions. Points are measured in the last complete picture unless `options` name another
   * space. The options of a caller override those of the driver.
   */
  async act(actions: readonly InputAction[], options: ActOptions): Promise<ActOutcome> {
    const { settle, control } = this.#options;
    const { space } = options.space === undefined ? await this.#known(options.signal) : options;
    return this.#container.act(actions, {
      ...(settle === undefined ? {} : { settle }),
      ...(control === undefined ? {} : { control }),
      ...options,
      ...(space === undefined ? {} : { space }),
    });
  }

  /**
   * Carries out the model's actions, then takes a picture of the complete screen. A failure that the model can react
   * to is returned, with a picture after it.
   *
   * @throws RequestError when the desktop can't be reached
   */
  async tryActions(actions: readonly InputAction[], options: ActOptions): Promise<Attempt> {
    const screenshot = { when: 'end', ...this.#fit, cursor: true } as const;
    try {
      const { screenshot: picture } = await this.act(actions, { ...options, screenshot });
      return { picture: picture ? this.#remember(picture) : await this.look(options.signal) };
    } catch (error) {
      const failure = failureOf(error);
      if (failure === undefined) throw error;
      return { picture: await this.look(options.signal), failure };
    }
  }

  /** The options of a picture that fits the model's limits. */
  get #fit(): { format: PictureFormat; maxWidth: number; maxHeight: number } {
    const { maxSide = MAX_SIDE, format = 'png' } = this.#options;
    return { format, maxWidth: maxSide, maxHeight: maxSide };
  }

  async #known(signal?: AbortSignal): Promise<{ space: Size; screen: Size }> {
    if (!this.#seen) await this.look(signal);
    return this.#seen as { space: Size; screen: Size };
  }

  #remember(picture: Picture): Picture {
    this.#seen = { space: picture.space, screen: picture.screen };
    return picture;
  }
}
