import { z } from 'zod';
import type { Action } from '../action.ts';
import { TypedText } from '../typed-text.ts';
import { Coordinate, type Dialect, given, notches } from './vocabulary.ts';

/** A `wait` has no duration; OpenAI's samples wait this long, ms. */
const WAIT_MS = 2000;
const KeyNames = z.array(z.string().min(1).max(64)).max(8);
const keys = KeyNames.nullish();
const at = { x: Coordinate, y: Coordinate };
const Pixels = z.number().min(-100_000).max(100_000);

/** An action of `computer_call`. */
export const OpenAiAction = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('click'),
    button: z.enum(['left', 'right', 'wheel', 'back', 'forward']),
    ...at,
    keys,
  }),
  z.strictObject({ type: z.literal('double_click'), ...at, keys }),
  z.strictObject({ type: z.literal('drag'), path: z.array(z.strictObject(at)).min(1).max(256), keys }),
  z.strictObject({ type: z.literal('keypress'), keys: KeyNames.min(1) }),
  z.strictObject({ type: z.literal('move'), ...at, keys }),
  z.strictObject({ type: z.literal('screenshot') }),
  z.strictObject({ type: z.literal('scroll'), ...at, scroll_x: Pixels, scroll_y: Pixels, keys }),
  z.strictObject({ type: z.literal('type'), text: TypedText }),
  z.strictObject({ type: z.literal('wait') }),
]);
export type OpenAiAction = z.infer<typeof OpenAiAction>;

const held = (names: string[] | null | undefined) => given({ modifiers: names?.length ? names : undefined });

/** Maps an action of OpenAI's `computer` tool. Its `wheel` is the middle button, and it scrolls in pixels. */
const map: Dialect<OpenAiAction>['map'] = (action, { screen, space }): Action[] => {
  switch (action.type) {
    case 'click': {
      const { x, y, button } = action;
      return [{ type: 'click', x, y, button: button === 'wheel' ? 'middle' : button, ...held(action.keys) }];
    }
    case 'double_click':
      return [{ type: 'click', x: action.x, y: action.y, count: 2, ...held(action.keys) }];
    case 'drag':
      return [{ type: 'drag', path: action.path, ...held(action.keys) }];
    case 'keypress':
      return [{ type: 'key', keys: action.keys }];
    case 'move':
      return [{ type: 'move', x: action.x, y: action.y, ...held(action.keys) }];
    case 'screenshot':
      return [{ type: 'screenshot' }];
    case 'scroll': {
      const dx = notches((action.scroll_x * screen.width) / space.width);
      const dy = notches((action.scroll_y * screen.height) / space.height);
      return [{ type: 'scroll', x: action.x, y: action.y, dx, dy, ...held(action.keys) }];
    }
    case 'type':
      return [{ type: 'type', text: action.text }];
    case 'wait':
      return [{ type: 'wait', ms: WAIT_MS }];
  }
};

export const OPENAI: Dialect<OpenAiAction> = { schema: OpenAiAction, space: 'screen', map };
