import { z } from 'zod';
import { SIZES } from '../screen.ts';
import { TypedText } from './typed-text.ts';

/** Most actions of one call. */
export const MAX_ACTIONS = 64;
/** The longest that one wait or hold, and the waits, holds and pacing of one call, may last, ms. */
export const MAX_CALL_MS = 50_000;
/** Most pictures in one answer. */
export const MAX_PICTURES = 8;

/** The buttons of the pointer. */
export const BUTTONS = ['left', 'middle', 'right', 'back', 'forward'] as const;
export type Button = (typeof BUTTONS)[number];

const Button = z.enum(BUTTONS);
const Coordinate = z.number().min(0).max(65_535);
const x = Coordinate.describe('From the left edge, in units of `space`.');
const y = Coordinate.describe('From the top edge, in units of `space`.');
const Point = z.strictObject({ x, y }).meta({ id: 'ActionPoint' });
/** A point that an action may leave out, to act at the pointer. */
const atPoint = {
  x: x.optional().describe('From the left edge, in units of `space`. At the pointer if left out.'),
  y: y.optional().describe('From the top edge, in units of `space`. At the pointer if left out.'),
};
const BothOrNeither = 'give both x and y, or neither';
const bothOrNeither = (point: { x?: number | undefined; y?: number | undefined }): boolean =>
  (point.x === undefined) === (point.y === undefined);

const KeyName = z.string().min(1).max(64);
/** A chord as text, `ctrl+shift+t`, or as a list of names, `["CTRL", "C"]`. */
const Chord = z.union([KeyName, z.array(KeyName).min(1).max(8)]);
const keys = Chord.describe(
  'Names joined by `+`, or a list of names: `ctrl+shift+t`, `["CTRL", "C"]`, `ctrl++`. X11, W3C, pyautogui and xdotool names.',
);
const modifiers = Chord.optional().describe('Keys that are held meanwhile: `ctrl+shift`.');
const button = Button.optional().describe('`left` if left out.');
const ms = z.number().int().min(0).max(MAX_CALL_MS);

/** A part of the picture, in units of the space that points are measured in. */
export const Region = z
  .strictObject({
    x: Coordinate.describe('Its left edge.'),
    y: Coordinate.describe('Its top edge.'),
    width: z.number().positive().max(65_535).describe('How wide it is.'),
    height: z.number().positive().max(65_535).describe('How high it is.'),
  })
  .meta({ id: 'ActionRegion' });

/** The formats of pictures in answers. */
export const PICTURE_FORMATS = ['png', 'jpeg', 'webp'] as const;
const pictureOptions = {
  format: z.enum(PICTURE_FORMATS).optional().describe('`png` if left out.'),
  quality: z.number().int().min(1).max(100).optional().describe('Of `jpeg` and `webp`.'),
  maxWidth: z
    .number()
    .int()
    .min(16)
    .max(SIZES.most.width)
    .optional()
    .describe('The picture is made smaller, keeping its proportions, until it is at most this wide, pixels.'),
  maxHeight: z
    .number()
    .int()
    .min(16)
    .max(SIZES.most.height)
    .optional()
    .describe('The picture is made smaller, keeping its proportions, until it is at most this high, pixels.'),
  region: Region.optional().describe('The part of the screen that is shown, in units of `space`.'),
  cursor: z.boolean().optional().describe('Shows the pointer.'),
};
/** How a picture of the screen is made. */
export type PictureOptions = z.infer<z.ZodObject<typeof pictureOptions>>;

const clickFields = {
  type: z.literal('click'),
  ...atPoint,
  button,
  count: z.number().int().min(1).max(3).optional().describe('2 is a double click, 3 a triple click.'),
  modifiers,
};
const scrollFields = {
  type: z.literal('scroll'),
  ...atPoint,
  dx: z.number().int().min(-100).max(100).optional().describe('Notches to the right; negative: to the left.'),
  dy: z.number().int().min(-100).max(100).optional().describe('Notches down; negative: up.'),
  modifiers,
};

/** One action on a desktop. No field has a default: an action is read as it was sent. */
export const Action = z
  .discriminatedUnion('type', [
    z.strictObject(clickFields).refine(bothOrNeither, BothOrNeither).describe('Clicks.'),
    z.strictObject({ type: z.literal('move'), x, y, modifiers }).describe('Moves the pointer.'),
    z
      .strictObject({ type: z.literal('button_down'), button })
      .describe('Presses a button at the pointer; it stays pressed, also after the call.'),
    z.strictObject({ type: z.literal('button_up'), button }).describe('Releases a pressed button.'),
    z
      .strictObject({
        type: z.literal('drag'),
        path: z
          .array(Point)
          .min(1)
          .max(256)
          .describe('From the first point to the last; one: from the pointer.'),
        button,
        modifiers,
      })
      .describe('Drags along a path, with moves in between.'),
    z.strictObject(scrollFields).refine(bothOrNeither, BothOrNeither).describe('Turns the wheel.'),
    z
      .strictObject({
        type: z.literal('type'),
        text: TypedText.describe('Any Unicode text; a line feed is Return, a tab is Tab.'),
      })
      .describe('Types a text.'),
    z
      .strictObject({
        type: z.literal('key'),
        keys,
        count: z
          .number()
          .int()
          .min(1)
          .max(100)
          .optional()
          .describe('How often it is pressed; 1 if left out.'),
        holdMs: ms.optional().describe('How long it is held each time, ms.'),
      })
      .describe('Presses keys in order and releases them in reverse.'),
    z
      .strictObject({ type: z.literal('key_down'), keys })
      .describe('Presses keys; they stay pressed, also after the call.'),
    z.strictObject({ type: z.literal('key_up'), keys }).describe('Releases pressed keys.'),
    z.strictObject({ type: z.literal('wait'), ms: ms.describe('How long, ms.') }).describe('Waits.'),
    z
      .strictObject({ type: z.literal('screenshot'), ...pictureOptions })
      .describe('Takes a picture; it is in the result of this action.'),
  ])
  .meta({ id: 'Action' });
export type Action = z.infer<typeof Action>;

/** How a call's last picture, or the picture after each action, is made. */
export const ScreenshotRequest = z
  .strictObject({
    when: z
      .enum(['end', 'each'])
      .optional()
      .describe(`\`each\`: after each of at most ${MAX_PICTURES} actions. \`end\` if left out.`),
    ...pictureOptions,
  })
  .meta({ id: 'ActionScreenshotRequest' });

/** What points are measured in. */
export const Space = z
  .union([
    z.literal('screen'),
    z.literal('grid1000'),
    z.strictObject({
      width: z.number().int().min(1).max(65_535).describe('Of the picture that the model saw, pixels.'),
      height: z.number().int().min(1).max(65_535).describe('Of the picture that the model saw, pixels.'),
    }),
  ])
  .meta({ id: 'ActionSpace' });
export type Space = z.infer<typeof Space>;
