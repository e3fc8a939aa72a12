import { setTimeout as sleep } from 'node:timers/promises';

/** Text that comes within so long goes out as one piece, ms. */
const EVERY_MS = 40;
const MAX_PIECE = 32_000;

/**
 * Coalesces a stream of text: the first piece goes out at once, then one a while with all that has come. Never two at once,
 * so that a slow reader gets fewer and larger ones, in order.
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
    if (this.#writing || !text) return;
    this.#writing = this.#drain();
    // `end` says so.
    this.#writing.catch(() => undefined);
  }

  /** Resolves when all has gone out. */
  async end(): Promise<void> {
    this.#ended.abort();
    await this.#writing;
  }

  /** What has not gone out yet never does. */
  discard(): void {
    this.#text = '';
    this.#ended.abort();
  }

  async #drain(): Promise<void> {
    while (this.#text) {
      const piece = this.#text.slice(0, MAX_PIECE);
      this.#text = this.#text.slice(MAX_PIECE);
      await this.#write(piece);
      await sleep(EVERY_MS, undefined, { signal: this.#ended.signal }).catch(() => undefined);
    }
    this.#writing = undefined;
  }
}
