import { SIZES } from '../contract/screen.ts';

/** The element has had its size for so long: its window is not being dragged any more, ms. */
const REST_MS = 200;
/** How long a desktop may take to change its size, ms. */
const ANSWER_MS = 5000;

type Size = { width: number; height: number };

export type ResizerOptions = {
  /** Whose size the desktop takes. */
  element: HTMLElement;
  /** Asks the desktop for a size. */
  ask: (width: number, height: number) => void;
  /** Why the desktop does not have the element's size. */
  notice: (text: string) => void;
};

/** Keeps a desktop at the size of an element, as far as it can have that, each time the element's changes. */
export class Resizer {
  readonly #o: ResizerOptions;
  readonly #observer = new ResizeObserver(() => this.#rest());
  #on = false;
  /** The desktop's, and what it was asked for last. */
  #size: Size = { width: 0, height: 0 };
  #asked: Size | undefined;
  #resting: ReturnType<typeof setTimeout> | undefined;
  #answering: ReturnType<typeof setTimeout> | undefined;

  constructor(options: ResizerOptions) {
    this.#o = options;
  }

  /** Follows the element from now on, or no longer. */
  follow(on: boolean): void {
    if (on === this.#on) return;
    this.#on = on;
    this.#asked = undefined;
    clearTimeout(this.#resting);
    clearTimeout(this.#answering);
    // It is called at once with the size that there is.
    if (on) this.#observer.observe(this.#o.element);
    else this.#observer.disconnect();
  }

  /** To be called with each size that the desktop has. */
  has(width: number, height: number): void {
    this.#size = { width, height };
    if (this.#asked && same(this.#asked, this.#size)) clearTimeout(this.#answering);
  }

  #rest(): void {
    clearTimeout(this.#resting);
    this.#resting = setTimeout(() => this.#ask(), REST_MS);
  }

  #ask(): void {
    // With its scroll bars, which go when the size fits.
    const { width, height } = this.#o.element.getBoundingClientRect();
    const wanted = { width: Math.floor(width), height: Math.floor(height) };
    if (wanted.width === 0 || wanted.height === 0) return;
    const { least, most } = SIZES;
    const possible = {
      width: Math.min(most.width, Math.max(least.width, wanted.width)),
      height: Math.min(most.height, Math.max(least.height, wanted.height)),
    };
    if (wanted.width > most.width || wanted.height > most.height) {
      this.#o.notice(`The desktop can’t be larger than ${text(most)}.`);
    } else if (!same(wanted, possible)) {
      this.#o.notice(`The desktop can’t be smaller than ${text(least)}.`);
    }
    if (same(possible, this.#size)) return;
    this.#asked = possible;
    this.#o.ask(possible.width, possible.height);
    clearTimeout(this.#answering);
    this.#answering = setTimeout(() => {
      this.#o.notice(`The desktop did not take the size ${text(possible)}: it stays at ${text(this.#size)}.`);
    }, ANSWER_MS);
  }
}

const same = (a: Size, b: Size): boolean => a.width === b.width && a.height === b.height;
const text = ({ width, height }: Size): string => `${width} × ${height}`;
