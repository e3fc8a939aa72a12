import { contentOf, continuedCharacter } from './pieces.ts';

/** The last bytes of a stream. */
export class Tail {
  readonly #most: number;
  #chunks: Buffer[] = [];
  #size = 0;

  /** @param most how many bytes are kept */
  constructor(most: number) {
    this.#most = most;
  }

  add(bytes: Buffer): void {
    this.#chunks.push(bytes);
    this.#size += bytes.length;
    while (this.#size - (this.#chunks[0]?.length ?? 0) >= this.#most) {
      this.#size -= this.#chunks.shift()?.length ?? 0;
    }
  }

  /**
   * The last bytes: text when they are UTF-8, else base64.
   * @param end how many bytes the stream had in all
   */
  content(end: number): { value: string; isText: boolean } {
    const all = Buffer.concat(this.#chunks);
    const last = all.subarray(Math.max(0, all.length - this.#most));
    const complete = end > last.length ? last.subarray(continuedCharacter(last)) : last;
    const content = contentOf(complete);
    if ('text' in content) return { value: content.text, isText: true };
    return { value: last.toString('base64'), isText: false };
  }
}
