import { z } from 'zod';
import type { Action, Space } from '../action.ts';

/** What an action is mapped for: sizes in pixels. */
export type MapContext = {
  screen: { width: number; height: number };
  /** What the model's points are measured in, as a size. */
  space: { width: number; height: number };
};

/** A vendor's vocabulary of actions. */
export type Dialect<Input = unknown> = {
  /** Reads one action as the model emitted it. */
  schema: z.ZodType<Input>;
  /** What its points are measured in when a request does not state it. */
  space: Extract<Space, string>;
  /**
   * The actions that it means, in order; none for one that only reads what every answer has.
   * @throws UnmappedActionError for one that a desktop can not carry out
   */
  map: (action: Input, context: MapContext) => Action[];
};

/** An action that a desktop can not carry out. The message names what to do instead. */
export class UnmappedActionError extends Error {
  override name = 'UnmappedActionError';
}

/** About how far a browser scrolls for one notch of the wheel, pixels. */
const PIXELS_PER_NOTCH = 100;

/** Notches for a distance in pixels: at least one, unless the distance is 0. */
export function notches(pixels: number): number {
  const count = Math.round(pixels / PIXELS_PER_NOTCH);
  return Math.max(-100, Math.min(100, count === 0 ? Math.sign(pixels) : count));
}

/** Leaves out fields that are null or undefined. */
export const given = <T extends object>(fields: T): { [K in keyof T]?: NonNullable<T[K]> } =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null && value !== undefined)) as {
    [K in keyof T]?: NonNullable<T[K]>;
  };

export const Coordinate = z.number().min(0).max(65_535);
