import { SIZES } from '../contract/screen.ts';

/** The desktop is resized once the element has kept its size for this long, ms. */
const REST_MS = 200;
/** The time a desktop may take to change its size, ms. */
const ANSWER_MS = 5000;

type Size = { width: number; height: number };

/** Options of {@link Resizer}. Sizes are in pixels. */
export type ResizerOptions = {
  /** The element whose size the desktop follows. */
  element: HTMLElement;
  /** Requests a size of the desktop. */
  ask: (width: number, height: number) => void;
  /** Shows the user why the desktop does not have the element's size. */
  notice: (text: string) => void;
};

/** Keeps a desktop at the size of an element, within the sizes that a desktop can have. */
export class Resizer {
  readonly #options: ResizerOptions;
  readonly #observer = new ResizeObserver(() => this.#rest());
  #on = false;
  /** The desktop's size. */
  #size: Size = { width: 0, height: 0 };
  /** The size that was requested last. */
  #requested: Size | undefined;
  #resting: ReturnType<typeof setTimeout> | undefined;
  #answering: ReturnType<typeof setTimeout> | undefined;

  constructor(options: ResizerOptions) {
    this.#options = options;
  }

  /** Starts or stops following the element. */
  follow(on: boolean): void {
    if (on === this.#on) return;
    this.#on = on;
    this.#requested = undefined;
    clearTimeout(this.#resting);
    clearTimeout(this.#answering);
    // The observer reports the present size at once.
    if (on) this.#observer.observe(this.#options.element);
    else this.#observer.disconnect();
  }

  /** Notes the desktop's size. Call it with each size that the desktop has. */
  has(width: number, height: number): void {
    this.#size = { width, height };
    if (this.#requested && same(this.#requested, this.#size)) clearTimeout(this.#answering);
  }

  #rest(): void {
    clearTimeout(this.#resting);
    this.#resting = setTimeout(() => this.#request(), REST_MS);
  }

  #request(): void {
    // Includes scroll bars, which disappear when the size fits.
    const { width, height } = this.#options.element.getBoundingClientRect();
    const wanted = { width: Math.floor(width), height: Math.floor(height) };
    if (wanted.width === 0 || wanted.height === 0) return;
    const { least, most } = SIZES;
    const possible = {
      width: Math.min(most.width, Math.max(least.width, wanted.width)),
      height: Math.min(most.height, Math.max(least.height, wanted.height)),
    };
    if (wanted.width > most.width || wanted.height > most.height) {
      this.#options.notice(`The desktop can’t be larger than ${text(most)}.`);
    } else if (!same(wanted, possible)) {
      this.#options.notice(`The desktop can’t be smaller than ${text(least)}.`);
    }
    if (same(possible, this.#size)) return;
    this.#requested = possible;
    this.#options.ask(possible.width, possible.height);
    clearTimeout(this.#answering);
    this.#answering = setTimeout(() => {
      this.#options.notice(
        `The desktop did not take the size ${text(possible)}: it stays at ${text(this.#size)}.`,
      );
    }, ANSWER_MS);
  }
}

const same = (a: Size, b: Size): boolean => a.width === b.width && a.height === b.height;
const text = ({ width, height }: Size): string => `${width} × ${height}`;
