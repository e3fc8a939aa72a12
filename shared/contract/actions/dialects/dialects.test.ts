import type Anthropic from '@anthropic-ai/sdk';
import type { FunctionCall, Interactions } from '@google/genai';
import type OpenAI from 'openai';
import { expect, expectTypeOf, test } from 'vitest';
import type { z } from 'zod';
import type { Action } from '../action.ts';
import { ActionsInput } from '../input.ts';
import type { AnthropicAction } from './anthropic.ts';
import { DIALECTS, type DialectName } from './dialect.ts';
import type { OpenAiAction } from './openai.ts';
import type { MapContext } from './vocabulary.ts';

const CONTEXT: MapContext = {
  screen: { width: 1280, height: 800 },
  space: { width: 1280, height: 800 },
};
const GRID: MapContext = { ...CONTEXT, space: { width: 1000, height: 1000 } };

function map(name: DialectName, action: object, context = CONTEXT): Action[] {
  const { schema, map } = DIALECTS[name];
  ActionsInput.parse({ actions: [action], dialect: name });
  return map(schema.parse(action), context);
}

/** The blocks of `computer_toolset_20260801`, and the inputs of its members. */
type Block = Anthropic.Beta.BetaComputerKeyToolUseBlock;
type Member<K extends string> = Extract<Anthropic.Beta.BetaComputerToolUseBlock, { name: K }>;
type Members = Anthropic.Beta.BetaComputerToolUseBlock['name'];
type Nullish<T> = {
  [K in keyof T]: T[K] extends [number, ...number[]] | null | undefined ? number[] | T[K] : T[K];
};
/** What our schema reads of a member. Its coordinates are pairs, where the SDK writes lists of numbers. */
type Read<K extends string> = Nullish<Omit<Extract<AnthropicAction, { action: K }>, 'action'>>;
type Computer = OpenAI.Responses.ComputerAction;

test('the schemas take what the SDKs emit', () => {
  expectTypeOf<Computer>().toExtend<z.input<typeof OpenAiAction>>();
  expectTypeOf<AnthropicAction['action']>().toEqualTypeOf<Members>();
  expectTypeOf<Member<'scroll'>['input']>().toExtend<Read<'scroll'>>();
  expectTypeOf<Member<'key'>['input']>().toExtend<Read<'key'>>();
  expectTypeOf<Member<'hold_key'>['input']>().toExtend<Read<'hold_key'>>();
  expectTypeOf<Member<'left_click_drag'>['input']>().toExtend<Read<'left_click_drag'>>();
  expectTypeOf<Member<'zoom'>['input']>().toExtend<Read<'zoom'>>();
  expectTypeOf<Member<'wait'>['input']>().toExtend<Read<'wait'>>();
  expectTypeOf<OpenAiAction['type']>().toEqualTypeOf<Computer['type']>();
});

const openai: [Computer, Action[]][] = [
  [{ type: 'click', button: 'left', x: 0, y: 0 }, [{ type: 'click', x: 0, y: 0, button: 'left' }]],
  [
    { type: 'click', button: 'wheel', x: 1, y: 2, keys: ['CTRL'] },
    [{ type: 'click', x: 1, y: 2, button: 'middle', modifiers: ['CTRL'] }],
  ],
  [{ type: 'click', button: 'back', x: 1, y: 2, keys: [] }, [{ type: 'click', x: 1, y: 2, button: 'back' }]],
  [{ type: 'double_click', x: 3, y: 4, keys: null }, [{ type: 'click', x: 3, y: 4, count: 2 }]],
  [
    {
      type: 'drag',
      path: [
        { x: 1, y: 1 },
        { x: 9, y: 9 },
      ],
      keys: ['SHIFT'],
    },
    [
      {
        type: 'drag',
        path: [
          { x: 1, y: 1 },
          { x: 9, y: 9 },
        ],
        modifiers: ['SHIFT'],
      },
    ],
  ],
  [{ type: 'keypress', keys: ['CTRL', 'C'] }, [{ type: 'key', keys: ['CTRL', 'C'] }]],
  [{ type: 'move', x: 5, y: 6 }, [{ type: 'move', x: 5, y: 6 }]],
  [{ type: 'screenshot' }, [{ type: 'screenshot' }]],
  [
    { type: 'scroll', x: 5, y: 6, scroll_x: 0, scroll_y: 300 },
    [{ type: 'scroll', x: 5, y: 6, dx: 0, dy: 3 }],
  ],
  [
    { type: 'scroll', x: 5, y: 6, scroll_x: -40, scroll_y: -851, keys: ['CTRL'] },
    [{ type: 'scroll', x: 5, y: 6, dx: -1, dy: -9, modifiers: ['CTRL'] }],
  ],
  [{ type: 'type', text: 'a\n' }, [{ type: 'type', text: 'a\n' }]],
  [{ type: 'wait' }, [{ type: 'wait', ms: 2000 }]],
];
test.each(openai)('OpenAI: %j', (action, actions) => {
  expect(map('openai', action)).toEqual(actions);
});

test('a scroll in pixels of a smaller picture is as far on the screen', () => {
  const half = { ...CONTEXT, space: { width: 640, height: 400 } };
  const action: Computer = { type: 'scroll', x: 0, y: 0, scroll_x: 0, scroll_y: 100 };
  expect(map('openai', action, half)).toEqual([{ type: 'scroll', x: 0, y: 0, dx: 0, dy: 2 }]);
});

const anthropic: [object, Action[]][] = [
  [{ action: 'key', text: 'ctrl+s' }, [{ type: 'key', keys: 'ctrl+s' }]],
  [{ action: 'key', text: 'Down', repeat: 3 }, [{ type: 'key', keys: 'Down', count: 3 }]],
  [{ action: 'hold_key', text: 'w', duration: 1.5 }, [{ type: 'key', keys: 'w', holdMs: 1500 }]],
  [{ action: 'type', text: 'Grüße' }, [{ type: 'type', text: 'Grüße' }]],
  [{ action: 'cursor_position' }, []],
  [{ action: 'mouse_move', coordinate: [0, 0] }, [{ type: 'move', x: 0, y: 0 }]],
  [{ action: 'left_mouse_down' }, [{ type: 'button_down' }]],
  [{ action: 'left_mouse_up', coordinate: [7, 8] }, [{ type: 'move', x: 7, y: 8 }, { type: 'button_up' }]],
  [{ action: 'left_click', coordinate: [0, 9] }, [{ type: 'click', x: 0, y: 9 }]],
  [{ action: 'left_click' }, [{ type: 'click' }]],
  [
    { action: 'left_click', coordinate: [1, 2], text: 'ctrl+shift' },
    [{ type: 'click', x: 1, y: 2, modifiers: 'ctrl+shift' }],
  ],
  [{ action: 'right_click', coordinate: [1, 2] }, [{ type: 'click', x: 1, y: 2, button: 'right' }]],
  [{ action: 'middle_click', coordinate: null }, [{ type: 'click', button: 'middle' }]],
  [{ action: 'double_click', coordinate: [1, 2] }, [{ type: 'click', x: 1, y: 2, count: 2 }]],
  [{ action: 'triple_click', coordinate: [1, 2] }, [{ type: 'click', x: 1, y: 2, count: 3 }]],
  [
    { action: 'left_click_drag', start_coordinate: [1, 2], coordinate: [3, 4], text: 'alt' },
    [
      {
        type: 'drag',
        path: [
          { x: 1, y: 2 },
          { x: 3, y: 4 },
        ],
        modifiers: 'alt',
      },
    ],
  ],
  [{ action: 'left_click_drag', coordinate: [3, 4] }, [{ type: 'drag', path: [{ x: 3, y: 4 }] }]],
  [
    { action: 'scroll', coordinate: [5, 6], scroll_direction: 'up', scroll_amount: 3 },
    [{ type: 'scroll', x: 5, y: 6, dx: 0, dy: -3 }],
  ],
  [
    { action: 'scroll', scroll_direction: 'right', scroll_amount: 2, text: 'ctrl' },
    [{ type: 'scroll', dx: 2, dy: 0, modifiers: 'ctrl' }],
  ],
  [{ action: 'wait', duration: 2 }, [{ type: 'wait', ms: 2000 }]],
  [{ action: 'screenshot' }, [{ type: 'screenshot' }]],
  [
    { action: 'zoom', region: [10, 20, 110, 70] },
    [{ type: 'screenshot', region: { x: 10, y: 20, width: 100, height: 50 } }],
  ],
];
test.each(anthropic)(
  'Anthropic: %j as an input, a tool use and a member of the toolset',
  (input, actions) => {
    const { action: name, ...fields } = input as { action: string };
    expect(map('anthropic', input)).toEqual(actions);
    expect(map('anthropic', { type: 'tool_use', id: 'toolu_1', name: 'computer', input })).toEqual(actions);
    const member = { type: 'tool_use', id: 'toolu_1', name, toolset_name: 'computer', input: fields };
    expect(map('anthropic', member)).toEqual(actions);
  },
);

test('a typed block of the Anthropic SDK is an action', () => {
  const block: Block = {
    type: 'tool_use',
    id: 'toolu_1',
    name: 'key',
    toolset_name: 'computer',
    input: { text: 'Return', repeat: null },
    caller: { type: 'direct' },
  };
  expect(map('anthropic', block)).toEqual([{ type: 'key', keys: 'Return' }]);
});

const gemini: [string, Record<string, unknown>, Action[]][] = [
  ['click', { x: 0, y: 1000, intent: 'Opens the menu' }, [{ type: 'click', x: 0, y: 1000 }]],
  ['click_at', { x: 5, y: 6, safety_decision: { decision: 'regular' } }, [{ type: 'click', x: 5, y: 6 }]],
  ['right_click', { x: 5, y: 6 }, [{ type: 'click', x: 5, y: 6, button: 'right' }]],
  ['middle_click', { x: 5, y: 6 }, [{ type: 'click', x: 5, y: 6, button: 'middle' }]],
  ['double_click', { x: 5, y: 6 }, [{ type: 'click', x: 5, y: 6, count: 2 }]],
  ['triple_click', { x: 5, y: 6 }, [{ type: 'click', x: 5, y: 6, count: 3 }]],
  ['move', { x: 5, y: 6 }, [{ type: 'move', x: 5, y: 6 }]],
  ['hover_at', { x: 5, y: 6 }, [{ type: 'move', x: 5, y: 6 }]],
  ['mouse_down', { x: 5, y: 6 }, [{ type: 'move', x: 5, y: 6 }, { type: 'button_down' }]],
  ['mouse_up', {}, [{ type: 'button_up' }]],
  [
    'drag_and_drop',
    { x: 1, y: 2, destination_x: 3, destination_y: 4 },
    [
      {
        type: 'drag',
        path: [
          { x: 1, y: 2 },
          { x: 3, y: 4 },
        ],
      },
    ],
  ],
  ['scroll', { x: 5, y: 6, direction: 'down' }, [{ type: 'scroll', x: 5, y: 6, dx: 0, dy: 6 }]],
  [
    'scroll_at',
    { x: 5, y: 6, direction: 'left', magnitude: 250 },
    [{ type: 'scroll', x: 5, y: 6, dx: -3, dy: 0 }],
  ],
  ['scroll_document', { direction: 'down' }, [{ type: 'key', keys: 'Page_Down' }]],
  ['scroll_document', { direction: 'right' }, [{ type: 'scroll', dx: 10, dy: 0 }]],
  ['type', { text: 'abc' }, [{ type: 'type', text: 'abc' }]],
  [
    'type',
    { text: 'abc', press_enter: true },
    [
      { type: 'type', text: 'abc' },
      { type: 'key', keys: 'Return' },
    ],
  ],
  [
    'type_text_at',
    { x: 5, y: 6, text: 'abc' },
    [
      { type: 'click', x: 5, y: 6 },
      { type: 'key', keys: 'ctrl+a' },
      { type: 'key', keys: 'BackSpace' },
      { type: 'type', text: 'abc' },
      { type: 'key', keys: 'Return' },
    ],
  ],
  [
    'type_text_at',
    { x: 5, y: 6, text: 'abc', press_enter: false, clear_before_typing: false },
    [
      { type: 'click', x: 5, y: 6 },
      { type: 'type', text: 'abc' },
    ],
  ],
  ['press_key', { key: 'Enter' }, [{ type: 'key', keys: 'Enter' }]],
  ['hotkey', { keys: ['control', 'c'] }, [{ type: 'key', keys: ['control', 'c'] }]],
  ['key_combination', { keys: 'control+c' }, [{ type: 'key', keys: 'control+c' }]],
  ['key_down', { key: 'shift' }, [{ type: 'key_down', keys: 'shift' }]],
  ['key_up', { key: 'shift' }, [{ type: 'key_up', keys: 'shift' }]],
  ['wait', { seconds: 2.5 }, [{ type: 'wait', ms: 2500 }]],
  ['wait', {}, [{ type: 'wait', ms: 5000 }]],
  ['wait_5_seconds', {}, [{ type: 'wait', ms: 5000 }]],
  ['take_screenshot', {}, [{ type: 'screenshot' }]],
  [
    'navigate',
    { url: 'https://example.com/' },
    [
      { type: 'key', keys: 'ctrl+l' },
      { type: 'type', text: 'https://example.com/' },
      { type: 'key', keys: 'Return' },
    ],
  ],
  ['go_back', {}, [{ type: 'key', keys: 'alt+Left' }]],
  ['go_forward', {}, [{ type: 'key', keys: 'alt+Right' }]],
];
test.each(gemini)('Gemini: %s %j', (name, args, actions) => {
  const call: FunctionCall = { id: '1', name, args };
  const step: Interactions.FunctionCallStep = { type: 'function_call', id: '1', name, arguments: args };
  expect(map('gemini', call, GRID)).toEqual(actions);
  expect(map('gemini', step, GRID)).toEqual(actions);
});

test.each(['open_web_browser', 'search'])('Gemini: %s is refused with the remedy', (name) => {
  expect(() => map('gemini', { name }, GRID)).toThrow('exclude this function');
});

test.each<[DialectName, object, string]>([
  [
    'openai',
    { type: 'left_click', x: 1, y: 1 },
    "type: Invalid discriminator value. Expected 'click' | 'double_click'",
  ],
  ['openai', { type: 'click', button: 'middle', x: 1, y: 1 }, 'button: Invalid option'],
  ['openai', { type: 'wait', seconds: 3 }, 'Unrecognized key: "seconds"'],
  ['anthropic', { action: 'jump' }, "action: Invalid discriminator value. Expected 'key' | 'hold_key'"],
  ['anthropic', { name: 'jump', input: {} }, 'action: Invalid discriminator value'],
  ['anthropic', { action: 'left_click', coordinate: [1] }, 'coordinate'],
  ['anthropic', { action: 'wait', duration: 301 }, 'duration: Too big'],
  ['gemini', { name: 'fly', args: {} }, "name: Invalid discriminator value. Expected 'click' | 'click_at'"],
  ['gemini', { name: 'click', args: { x: 1 } }, 'args.y: Invalid input'],
  ['gemini', { name: 'navigate', args: { url: 'a\nb' } }, 'args.url: must be one line'],
])('%s: %j is refused with its index and what is known', (dialect, action, message) => {
  const { error } = ActionsInput.safeParse({ actions: [action], dialect });
  const issues = error?.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('\n');
  expect(issues).toMatch(/^actions\.0/);
  expect(issues).toContain(message);
});
