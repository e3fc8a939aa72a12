import { z } from 'zod';
import type { Action } from '../action.ts';
import { TypedText } from '../typed-text.ts';
import { Coordinate, type Dialect, given } from './vocabulary.ts';

const Point = z.tuple([Coordinate, Coordinate]);
const coordinate = Point.nullish();
const Keys = z.string().min(1).max(256);
/** Keys that are held during an action. */
const text = z.string().max(256).nullish();
const clicks = ['left_click', 'right_click', 'middle_click', 'double_click', 'triple_click'] as const;
const Seconds = z.number().min(0).max(300);

/** The input of `computer_20250124` and `computer_20251124`. */
const ActionInput = z.discriminatedUnion('action', [
  z.strictObject({
    action: z.literal('key'),
    text: Keys,
    repeat: z.number().int().min(1).max(100).nullish(),
  }),
  z.strictObject({ action: z.literal('hold_key'), text: Keys, duration: Seconds }),
  z.strictObject({ action: z.literal('type'), text: TypedText }),
  z.strictObject({ action: z.literal('cursor_position') }),
  z.strictObject({ action: z.literal('mouse_move'), coordinate: Point }),
  z.strictObject({ action: z.literal('left_mouse_down'), coordinate }),
  z.strictObject({ action: z.literal('left_mouse_up'), coordinate }),
  z.strictObject({ action: z.literal(clicks), coordinate, text }),
  z.strictObject({
    action: z.literal('left_click_drag'),
    start_coordinate: coordinate,
    coordinate: Point,
    text,
  }),
  z.strictObject({
    action: z.literal('scroll'),
    coordinate,
    scroll_direction: z.enum(['up', 'down', 'left', 'right']),
    scroll_amount: z.number().int().min(0).max(100),
    text,
  }),
  z.strictObject({ action: z.literal('wait'), duration: Seconds }),
  z.strictObject({ action: z.literal('screenshot') }),
  z.strictObject({
    action: z.literal('zoom'),
    region: z.tuple([Coordinate, Coordinate, Coordinate, Coordinate]),
  }),
]);
export type AnthropicAction = z.infer<typeof ActionInput>;

/** A `tool_use` block: of the tool named `computer`, or of a member of `computer_toolset_20260801`. */
const ToolUse = z.strictObject({
  type: z.literal('tool_use').optional(),
  id: z.string().max(256).optional(),
  name: z.string().max(64),
  toolset_name: z.literal('computer').nullish(),
  input: z.looseObject({}),
  caller: z.looseObject({}).nullish(),
});

/** Reads the action from a `tool_use` block; an input of the tool is one already. */
const actionOf = (value: unknown): unknown => {
  const block = ToolUse.safeParse(value).data;
  if (!block) return value;
  return 'action' in block.input ? block.input : { ...block.input, action: block.name };
};
export const AnthropicAction = z.unknown().transform(actionOf).pipe(ActionInput);

const CLICKS = {
  left_click: {},
  right_click: { button: 'right' },
  middle_click: { button: 'middle' },
  double_click: { count: 2 },
  triple_click: { count: 3 },
} as const;
const NOTCH = {
  up: { dx: 0, dy: -1 },
  down: { dx: 0, dy: 1 },
  left: { dx: -1, dy: 0 },
  right: { dx: 1, dy: 0 },
} as const;

const at = (point: [number, number] | null | undefined) => (point ? { x: point[0], y: point[1] } : {});
const held = (keys: string | null | undefined) => given({ modifiers: keys || undefined });
const moved = (point: [number, number] | null | undefined): Action[] =>
  point ? [{ type: 'move', x: point[0], y: point[1] }] : [];
const milliseconds = (seconds: number) => Math.round(seconds * 1000);

/** Maps an action of Anthropic's computer tools. Without a coordinate it acts at the pointer. */
const map: Dialect<AnthropicAction>['map'] = (action): Action[] => {
  switch (action.action) {
    case 'key':
      return [{ type: 'key', keys: action.text, ...given({ count: action.repeat }) }];
    case 'hold_key':
      return [{ type: 'key', keys: action.text, holdMs: milliseconds(action.duration) }];
    case 'type':
      return [{ type: 'type', text: action.text }];
    case 'cursor_position':
      return [];
    case 'mouse_move':
      return moved(action.coordinate);
    case 'left_mouse_down':
      return [...moved(action.coordinate), { type: 'button_down' }];
    case 'left_mouse_up':
      return [...moved(action.coordinate), { type: 'button_up' }];
    case 'left_click_drag': {
      const points = [action.start_coordinate, action.coordinate].filter((point) => !!point);
      return [{ type: 'drag', path: points.map(([x, y]) => ({ x, y })), ...held(action.text) }];
    }
    case 'scroll': {
      const { dx, dy } = NOTCH[action.scroll_direction];
      const n = action.scroll_amount;
      return [{ type: 'scroll', ...at(action.coordinate), dx: dx * n, dy: dy * n, ...held(action.text) }];
    }
    case 'wait':
      return [{ type: 'wait', ms: milliseconds(action.duration) }];
    case 'screenshot':
      return [{ type: 'screenshot' }];
    case 'zoom': {
      const [left, top, right, bottom] = action.region;
      return [{ type: 'screenshot', region: { x: left, y: top, width: right - left, height: bottom - top } }];
    }
    default:
      return [{ type: 'click', ...at(action.coordinate), ...CLICKS[action.action], ...held(action.text) }];
  }
};

export const ANTHROPIC: Dialect<AnthropicAction> = { schema: AnthropicAction, space: 'screen', map };
