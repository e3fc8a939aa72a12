/** How fast actions are carried out, ms. */
export const PACING = {
  /** The pointer rests this long on its target before a button is pressed there. */
  restMs: 0,
  /** A click holds its button this long. */
  pressMs: 20,
  /** Between the clicks of a double or triple click: toolkits take 250 ms and more for one. */
  betweenClicksMs: 50,
  /** Between the press and the first move of a drag, and between its last move and the release. */
  dragRestMs: 80,
  /** Between the moves of a drag. */
  dragMoveMs: 20,
  /** Between the notches of the wheel. */
  notchMs: 20,
  /** A key without a time of its own is held this long. */
  keyMs: 5,
  /** Between two presses of a repeated key. */
  betweenKeysMs: 20,
} as const;

/** Moves of a drag between two points of its path: one for each of so many pixels, within these bounds. */
export const DRAG_MOVES = { everyPixels: 20, least: 2, most: 10 } as const;

/** How long one typed character takes, ms. */
const CHARACTER_MS = 4;

/** How long a text takes at most when it is typed, ms. */
export const typingMs = (text: string): number => [...text].length * CHARACTER_MS;
