import { setTimeout as sleep } from 'node:timers/promises';
import { endsWithinCharacter, truncateText } from '@warmwind/shared/runtime/text';

/** Text that arrives within this time is published as one piece, ms. */
const EVERY_MS = 40;
const MAX_PIECE = 32_000;

/**
 * Coalesces a stream of text. The first piece is published at once; later pieces hold all text that has
 * arrived meanwhile. Pieces are published one after the other, so that a slow reader gets fewer and larger
 * ones, in order. A piece ends between two characters: half of a surrogate pair waits for its other half, or
 * is replaced by U+FFFD at the end.
 */
export class Output {
  readonly #write: (text: string) => Promise<void>;
  readonly #ended = new AbortController();
  #text = '';
  #writing: Promise<void> | undefined;

  constructor(write: (text: string) => Promise<void>) {
    this.#write = write;
  }

  add(text: string): void {
    this.#text += text;
    if (this.#writing || !this.#assembled) return;
    this.#writing = this.#drain();
    // `end` reports the error.
    this.#writing.catch(() => undefined);
  }

  /** Resolves when all text has been published. */
  async end(): Promise<void> {
    this.#ended.abort();
    await this.#writing;
    const half = this.#text;
    this.#text = '';
    if (half) await this.#write(half.toWellFormed());
  }

  /** Drops the text that has not been published yet. */
  discard(): void {
    this.#text = '';
    this.#ended.abort();
  }

  /** The text that may be published as one piece. */
  get #assembled(): string {
    const text = endsWithinCharacter(this.#text) ? this.#text.slice(0, -1) : this.#text;
    return truncateText(text, MAX_PIECE);
  }

  async #drain(): Promise<void> {
    for (let piece = this.#assembled; piece; piece = this.#assembled) {
      this.#text = this.#text.slice(piece.length);
      await this.#write(piece.toWellFormed());
      await sleep(EVERY_MS, undefined, { signal: this.#ended.signal }).catch(() => undefined);
    }
    this.#writing = undefined;
  }
}
