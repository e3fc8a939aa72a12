import type { Button, PictureOptions } from './action.ts';
import type { Pixel, Size } from './space.ts';

/** A picture with its region in pixels of the screen. */
export type Picture = Omit<PictureOptions, 'region'> & { region?: Pixel & Size };

/** One operation on a desktop. Points in pixels of the screen. */
export type Step =
  | { do: 'move'; x: number; y: number }
  | { do: 'press'; button: Button }
  | { do: 'release'; button: Button }
  /** Turns the wheel by one notch. */
  | { do: 'notch'; direction: 'up' | 'down' | 'left' | 'right' }
  | { do: 'key'; keysym: number; down: boolean }
  | { do: 'text'; text: string }
  | { do: 'wait'; ms: number }
  | { do: 'picture'; picture: Picture };

/** RFB's mask of a pressed button. `forward` needs the extension for more than eight buttons. */
export const BUTTON_MASK: Readonly<Record<Button, number>> = {
  left: 1,
  middle: 2,
  right: 4,
  back: 128,
  forward: 256,
};

/** RFB's mask of a notch: pressed and released. */
export const NOTCH_MASK = { up: 8, down: 16, left: 32, right: 64 } as const;
