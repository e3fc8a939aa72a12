import { z } from 'zod';
import type { Action } from '../action.ts';
import { TypedText } from '../typed-text.ts';
import { Coordinate, type Dialect, given, notches, UnmappedActionError } from './vocabulary.ts';

/** Calls that wait without a duration, ms. */
const WAIT_MS = 5000;
/** How far a scroll without a magnitude goes, on the grid. */
const MAGNITUDE = 800;

/** Every call may carry the model's reasons, which change nothing. */
const common = { intent: z.string().max(4096).nullish(), safety_decision: z.looseObject({}).nullish() };
const args = <T extends z.ZodRawShape>(shape: T) => z.strictObject({ ...shape, ...common });
const call = <const N extends string, T extends z.ZodRawShape>(names: readonly N[], shape: T) =>
  z.strictObject({ name: z.literal(names), args: args(shape) });

const at = { x: Coordinate, y: Coordinate };
const perhapsAt = { x: Coordinate.nullish(), y: Coordinate.nullish() };
const KeyName = z.string().min(1).max(64);
const Keys = z.union([z.string().min(1).max(256), z.array(KeyName).min(1).max(8)]);
const direction = z.enum(['up', 'down', 'left', 'right']);
const Url = z
  .string()
  .max(2048)
  .refine((url) => !/[\p{Cc}\p{Cs}]/u.test(url), 'must be one line');

const CLICKS = {
  click: {},
  click_at: {},
  right_click: { button: 'right' },
  middle_click: { button: 'middle' },
  double_click: { count: 2 },
  triple_click: { count: 3 },
} as const;
const clickNames = Object.keys(CLICKS) as (keyof typeof CLICKS)[];

const CALLS = [
  call(clickNames, at),
  call(['move', 'hover_at'], at),
  call(['mouse_down', 'mouse_up'], perhapsAt),
  call(['drag_and_drop'], { ...at, destination_x: Coordinate, destination_y: Coordinate }),
  call(['scroll', 'scroll_at'], {
    ...perhapsAt,
    direction,
    magnitude: z.number().min(0).max(65_535).nullish(),
  }),
  call(['scroll_document'], { direction }),
  call(['type'], { text: TypedText, press_enter: z.boolean().nullish() }),
  call(['type_text_at'], {
    ...at,
    text: TypedText,
    press_enter: z.boolean().nullish(),
    clear_before_typing: z.boolean().nullish(),
  }),
  call(['press_key', 'key_down', 'key_up'], { key: KeyName }),
  call(['hotkey', 'key_combination'], { keys: Keys }),
  call(['wait'], { seconds: z.number().min(0).max(300).nullish() }),
  call(['navigate'], { url: Url }),
  call(
    ['take_screenshot', 'wait_5_seconds', 'go_back', 'go_forward', 'open_web_browser', 'search'] as const,
    {},
  ),
] as const;

/** A call with its arguments, as `functionCall` of a candidate or as `function_call` of an interaction. */
const FunctionCall = z.union([
  z.strictObject({
    id: z.string().max(256).optional(),
    name: z.string(),
    args: z.looseObject({}).optional(),
  }),
  z.strictObject({
    type: z.literal('function_call'),
    id: z.string().max(256).optional(),
    name: z.string(),
    arguments: z.looseObject({}),
  }),
]);
const callOf = (value: unknown): unknown => {
  const read = FunctionCall.safeParse(value).data;
  if (!read) return value;
  return { name: read.name, args: ('arguments' in read ? read.arguments : read.args) ?? {} };
};
export const GeminiAction = z.unknown().transform(callOf).pipe(z.discriminatedUnion('name', CALLS));
export type GeminiAction = z.infer<typeof GeminiAction>;

const point = (place: { x?: number | null | undefined; y?: number | null | undefined }) =>
  given({ x: place.x, y: place.y });
const key = (keys: string | string[]): Action => ({ type: 'key', keys });
const typed = (text: string, enter: boolean): Action[] => [
  { type: 'type', text },
  ...(enter ? [key('Return')] : []),
];

/** Moves to a point, if there is one. */
const moved = ({ x, y }: { x?: number | null | undefined; y?: number | null | undefined }): Action[] =>
  typeof x === 'number' && typeof y === 'number' ? [{ type: 'move', x, y }] : [];

type ScrollCall = Extract<GeminiAction, { name: 'scroll' | 'scroll_at' }>['args'];
function scrolled({ direction: way, magnitude, ...place }: ScrollCall, screen: Size, space: Size): Action {
  const [size, grid] =
    way === 'up' || way === 'down' ? [screen.height, space.height] : [screen.width, space.width];
  const count = notches(((magnitude ?? MAGNITUDE) * size) / grid);
  const signed = way === 'up' || way === 'left' ? -count : count;
  const turned = way === 'up' || way === 'down' ? { dx: 0, dy: signed } : { dx: signed, dy: 0 };
  return { type: 'scroll', ...point(place), ...turned };
}
type Size = { width: number; height: number };

/**
 * Maps a call of Gemini's computer use, of the current names and of the older ones. `navigate`, `go_back` and
 * `go_forward` press the keys of the browser that has the focus.
 */
const map: Dialect<GeminiAction>['map'] = (action, { screen, space }): Action[] => {
  switch (action.name) {
    case 'move':
    case 'hover_at':
      return moved(action.args);
    case 'mouse_down':
      return [...moved(action.args), { type: 'button_down' }];
    case 'mouse_up':
      return [...moved(action.args), { type: 'button_up' }];
    case 'drag_and_drop': {
      const { x, y, destination_x, destination_y } = action.args;
      return [
        {
          type: 'drag',
          path: [
            { x, y },
            { x: destination_x, y: destination_y },
          ],
        },
      ];
    }
    case 'scroll':
    case 'scroll_at':
      return [scrolled(action.args, screen, space)];
    case 'scroll_document': {
      const { direction: way } = action.args;
      if (way === 'up' || way === 'down') return [key(way === 'up' ? 'Page_Up' : 'Page_Down')];
      return [scrolled({ direction: way }, screen, space)];
    }
    case 'type':
      return typed(action.args.text, action.args.press_enter ?? false);
    case 'type_text_at': {
      const { x, y, text, press_enter, clear_before_typing } = action.args;
      const clear = (clear_before_typing ?? true) ? [key('ctrl+a'), key('BackSpace')] : [];
      return [{ type: 'click', x, y }, ...clear, ...typed(text, press_enter ?? true)];
    }
    case 'press_key':
      return [key(action.args.key)];
    case 'key_down':
      return [{ type: 'key_down', keys: action.args.key }];
    case 'key_up':
      return [{ type: 'key_up', keys: action.args.key }];
    case 'hotkey':
    case 'key_combination':
      return [key(action.args.keys)];
    case 'wait':
      return [{ type: 'wait', ms: Math.round((action.args.seconds ?? WAIT_MS / 1000) * 1000) }];
    case 'wait_5_seconds':
      return [{ type: 'wait', ms: WAIT_MS }];
    case 'take_screenshot':
      return [{ type: 'screenshot' }];
    case 'navigate':
      return [key('ctrl+l'), ...typed(action.args.url, true)];
    case 'go_back':
      return [key('alt+Left')];
    case 'go_forward':
      return [key('alt+Right')];
    case 'open_web_browser':
    case 'search':
      throw new UnmappedActionError(
        `a desktop has no ${action.name}: exclude this function, and let the model click the browser's icon`,
      );
    default:
      return [{ type: 'click', x: action.args.x, y: action.args.y, ...CLICKS[action.name] }];
  }
};

export const GEMINI: Dialect<GeminiAction> = { schema: GeminiAction, space: 'grid1000', map };
