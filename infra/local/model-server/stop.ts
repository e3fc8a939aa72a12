/** Cuts a text, which arrives in pieces, before the first of the stop words. Holds back what may be the beginning of one. */
export class StopWords {
  readonly #words: string[];
  #held = '';
  /** A stop word arrived; the text after it is dropped. */
  stopped = false;

  constructor(words: string[]) {
    this.#words = words;
  }

  /** @returns the part of the text that may be shown now */
  push(piece: string): string {
    if (this.stopped) return '';
    const text = this.#held + piece;
    const found = this.#words.map((word) => text.indexOf(word)).filter((at) => at >= 0);
    if (found.length > 0) {
      this.stopped = true;
      this.#held = '';
      return text.slice(0, Math.min(...found));
    }
    const keep = Math.max(0, ...this.#words.map((word) => overlap(text, word)));
    this.#held = text.slice(text.length - keep);
    return text.slice(0, text.length - keep);
  }

  /** The end of a text that ended without a stop word. */
  rest(): string {
    const rest = this.#held;
    this.#held = '';
    return rest;
  }
}

/** How much of the end of `text` is a beginning of `word`. */
function overlap(text: string, word: string): number {
  for (let length = Math.min(text.length, word.length - 1); length > 0; length--) {
    if (text.endsWith(word.slice(0, length))) return length;
  }
  return 0;
}
