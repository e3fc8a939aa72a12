import type { Picture } from '../../../../workers/screen/picture.ts';

/**
 * A row of cells that a program draws: a magenta one, then bits, white or black, the highest first. They hold
 * the low bits of the time of drawing in ms, and a checksum, because a row may be read half drawn. Cell size
 * in pixels.
 */
const CELL = { w: 6, h: 13 };
const TIME_BITS = 24;
const CHECK_BITS = 8;
const BITS = TIME_BITS + CHECK_BITS;
const MAGENTA = Buffer.of(255, 0, 255, 255, 0, 255, 255, 0, 255);

/** Draws the marker in xterm about 25 times a second. */
export const MARKER_PROGRAM = `xterm -geometry ${BITS + 2}x2+40+620 -title marker -e bash -c '
  tput civis; while :; do t=$((\${EPOCHREALTIME/./} / 1000 & 0xffffff)); s="\\e[H\\e[48;5;201m ";
    v=$((t << ${CHECK_BITS} | (t + (t >> 8) + (t >> 16)) & 255))
    for ((b = ${BITS - 1}; b >= 0; b--)); do (( v >> b & 1 )) && s+="\\e[107m " || s+="\\e[40m "; done
    printf "$s"; sleep 0.04; done'`;

export type Corner = { x: number; y: number };
/** Reads the red of a pixel in a rectangle, by column and row. */
type Red = (column: number, row: number) => number | undefined;

/** @returns the marker's position; `undefined` while none is shown */
export function findMarker({ rgb, width }: Picture): Corner | undefined {
  const at = rgb.indexOf(MAGENTA);
  return at < 0 ? undefined : { x: (at / 3) % width, y: Math.floor(at / 3 / width) };
}

/** Reads the marker along the pixel row through the middle of its cells. */
export class Marker {
  readonly #x: number;
  readonly #y: number;
  readonly #bits: boolean[] = [];
  #shown: number | undefined;

  constructor({ x, y }: Corner) {
    this.#x = x + CELL.w;
    this.#y = y + Math.floor(CELL.h / 2);
  }

  /** Whether a rectangle overlaps the marker. */
  touches(x: number, y: number, w: number, h: number): boolean {
    return y <= this.#y && this.#y < y + h && x < this.#x + BITS * CELL.w && this.#x < x + w;
  }

  draw(x: number, y: number, w: number, red: Red): void {
    for (let bit = 0; bit < BITS; bit++) {
      const at = this.#x + Math.floor((bit + 0.5) * CELL.w);
      if (at < x || at >= x + w) continue;
      this.#bits[bit] = (red(at - x, this.#y - y) ?? 0) > 127;
    }
  }

  /**
   * @returns the age of a time that appeared since the last call, ms; `undefined` when none has, or only a
   * part
   */
  age(now: number): number | undefined {
    let time = 0;
    let check = 0;
    for (let bit = 0; bit < TIME_BITS; bit++) time = time * 2 + (this.#bits[bit] ? 1 : 0);
    for (let bit = TIME_BITS; bit < BITS; bit++) check = check * 2 + (this.#bits[bit] ? 1 : 0);
    const wanted = (time + (time >> 8) + (time >> 16)) & 255;
    if (check !== wanted || time === this.#shown) return undefined;
    this.#shown = time;
    return (Math.floor(now) - time) & 0xffffff;
  }
}
