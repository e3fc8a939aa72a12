import { expect, test } from 'vitest';
import type { z } from 'zod';
import { containerActions } from '../commands/container-actions.ts';
import { ApiError } from '../errors.ts';
import type { Action } from './action.ts';
import { ActionsInput } from './input.ts';
import { KEYSYM } from './keys.ts';
import { PACING, typingMs } from './pacing.ts';
import { type ActionPlan, type PlanContext, planActions } from './plan.ts';
import type { Step } from './step.ts';

const SCREEN = { width: 1280, height: 800 };
const CONTEXT: PlanContext = { screen: SCREEN, pointer: { x: 5, y: 6 } };
type Body = Partial<z.input<typeof ActionsInput>>;

const plan = (actions: object[], body: Body = {}, context = CONTEXT): ActionPlan =>
  planActions(ActionsInput.parse({ actions, ...body }), context);
/** The steps of one action, without pauses. */
const stepsOf = (action: Action, context = CONTEXT): Step[] =>
  plan([action], {}, context).actions.flatMap(({ steps }) => steps.filter((step) => step.do !== 'wait'));
const key = (keysym: number, down: boolean): Step => ({ do: 'key', keysym, down });

/** The path and message of the refusal. */
function refusal(actions: object[], body: Body = {}, context = CONTEXT): string {
  try {
    plan(actions, body, context);
  } catch (error) {
    if (error instanceof ApiError && error.code === 'bad_request')
      return error.details.issues?.map(({ path, message }) => `${path}: ${message}`).join() ?? '';
    throw error;
  }
  return 'none';
}

test('the example of the command is planned', () => {
  const { actions, picture } = planActions(ActionsInput.parse(containerActions.example), CONTEXT);
  expect(actions.map(({ type, chars }) => [type, chars])).toEqual([
    ['click', 0],
    ['type', 18],
    ['key', 0],
  ]);
  expect(picture).toEqual({ format: 'jpeg', maxWidth: 1280 });
});

test('reading an input twice changes nothing', () => {
  const once = ActionsInput.parse({ actions: [{ type: 'click', x: 1, y: 2 }] });
  expect(ActionsInput.parse(once)).toEqual(once);
  expect(once).toEqual({
    actions: [{ type: 'click', x: 1, y: 2 }],
    dialect: 'warmwind',
    settle: { quietMs: 100, maxMs: 2000 },
    screenshot: false,
    control: 'fail',
  });
});

test('a triple click with modifiers holds them around three presses', () => {
  const click: Step[] = [
    { do: 'press', button: 'right' },
    { do: 'release', button: 'right' },
  ];
  expect(stepsOf({ type: 'click', x: 0, y: 0, button: 'right', count: 3, modifiers: 'ctrl+shift' })).toEqual([
    key(KEYSYM.Control_L, true),
    key(KEYSYM.Shift_L, true),
    { do: 'move', x: 0, y: 0 },
    ...click,
    ...click,
    ...click,
    key(KEYSYM.Shift_L, false),
    key(KEYSYM.Control_L, false),
  ]);
});

test('a click without a point is at the pointer', () => {
  expect(stepsOf({ type: 'click' })).toEqual([
    { do: 'press', button: 'left' },
    { do: 'release', button: 'left' },
  ]);
});

test('a drag has moves between its points and ends at the last one', () => {
  const steps = stepsOf({
    type: 'drag',
    path: [
      { x: 10, y: 10 },
      { x: 110, y: 10 },
      { x: 110, y: 13 },
    ],
  });
  expect(steps.slice(0, 2)).toEqual([
    { do: 'move', x: 10, y: 10 },
    { do: 'press', button: 'left' },
  ]);
  const moves = steps.filter((step) => step.do === 'move');
  expect(moves.map(({ x, y }) => [x, y])).toEqual([
    [10, 10],
    [30, 10],
    [50, 10],
    [70, 10],
    [90, 10],
    [110, 10],
    [110, 12],
    [110, 13],
  ]);
  expect(steps.at(-1)).toEqual({ do: 'release', button: 'left' });
});

test('a drag of one point begins at the pointer', () => {
  const steps = stepsOf({ type: 'drag', path: [{ x: 15, y: 6 }] });
  expect(steps).toEqual([
    { do: 'press', button: 'left' },
    { do: 'move', x: 10, y: 6 },
    { do: 'move', x: 15, y: 6 },
    { do: 'release', button: 'left' },
  ]);
});

test('a scroll turns exactly its notches', () => {
  expect(stepsOf({ type: 'scroll', x: 1279, y: 799, dx: -1, dy: 2 })).toEqual([
    { do: 'move', x: 1279, y: 799 },
    { do: 'notch', direction: 'down' },
    { do: 'notch', direction: 'down' },
    { do: 'notch', direction: 'left' },
  ]);
});

test('a chord is pressed in order, held, and released in reverse, each time', () => {
  const { actions } = plan([{ type: 'key', keys: 'ctrl+s', count: 2, holdMs: 700 }]);
  const once = [
    key(KEYSYM.Control_L, true),
    key(0x73, true),
    { do: 'wait', ms: 700 },
    key(0x73, false),
    key(KEYSYM.Control_L, false),
  ];
  expect(actions[0]?.steps).toEqual([...once, { do: 'wait', ms: PACING.betweenKeysMs }, ...once]);
});

test('keys and buttons that earlier calls left pressed are known', () => {
  const pressed = { buttons: ['left' as const], keysyms: [KEYSYM.Shift_L] };
  const held = { ...CONTEXT, pressed };
  expect(stepsOf({ type: 'button_up' }, held)).toEqual([{ do: 'release', button: 'left' }]);
  expect(stepsOf({ type: 'key', keys: 'a' }, held)).toEqual([key(0x41, true), key(0x41, false)]);
  expect(stepsOf({ type: 'key', keys: 'shift+a' }, held)).toEqual([key(0x41, true), key(0x41, false)]);
  expect(refusal([{ type: 'click' }], {}, held)).toContain('actions.0: the left button is pressed');
  expect(refusal([{ type: 'key_down', keys: 'shift' }], {}, held)).toContain('is pressed');
});

test('a key pressed with Shift is released after Shift', () => {
  const { actions } = plan([
    { type: 'key_down', keys: 'shift' },
    { type: 'key_down', keys: 'a' },
    { type: 'key_up', keys: 'shift' },
    { type: 'key_up', keys: 'a' },
  ]);
  expect(actions.at(-1)?.steps).toEqual([key(0x41, false)]);
});

test.each<[string, object[], Body, string]>([
  [
    'a point outside',
    [
      { type: 'wait', ms: 1 },
      { type: 'move', x: 1280, y: 0 },
    ],
    {},
    'actions.1: the point (1280, 0)',
  ],
  ['an unknown key', [{ type: 'key', keys: 'ctrl+foo' }], {}, 'actions.0: "foo" is not the name of a key'],
  ['a button that is not pressed', [{ type: 'button_up' }], {}, 'actions.0: the left button is not pressed'],
  [
    'a key that is not pressed',
    [{ type: 'key_up', keys: 'a' }],
    {},
    'actions.0: a key of "a" is not pressed',
  ],
  [
    'waits that sum to more than 50 s',
    [
      { type: 'wait', ms: 30_000 },
      { type: 'key', keys: 'a', holdMs: 20_001 },
    ],
    {},
    'actions.1: waits, holds and typing up to here take 50001 ms',
  ],
  [
    'typing that sums to more than 50 s',
    [...Array.from({ length: 6 }, () => ({ type: 'type', text: 'ж'.repeat(10_000) }))],
    {},
    'actions.4: waits, holds and typing',
  ],
  [
    'more than 8 pictures',
    Array.from({ length: 9 }, () => ({ type: 'wait', ms: 0 })),
    { screenshot: { when: 'each' } },
    'actions.8: this is picture 9 of at most 8',
  ],
  [
    'a region outside',
    [{ type: 'wait', ms: 0 }],
    { screenshot: { region: { x: 0, y: 0, width: 1281, height: 1 } } },
    'screenshot.region: the region is outside',
  ],
  [
    'a call without a meaning',
    [{ name: 'search' }],
    { dialect: 'gemini' },
    'actions.0: a desktop has no search',
  ],
])('%s is refused before the first effect', (_case, actions, body, message) => {
  expect(refusal(actions, body)).toContain(message);
});

test('10,000 characters of any kind fit into a call', () => {
  const distinct = Array.from({ length: 10_000 }, (_, n) => String.fromCodePoint(0x4e00 + n)).join('');
  expect(typingMs(distinct)).toBe(40_000);
  expect(typingMs('щ'.repeat(10_000))).toBe(10_029);
  expect(plan([{ type: 'type', text: '😀'.repeat(10_000) }]).actions[0]?.chars).toBe(10_000);
});

test('a picture after each action is one step of it, and an own picture counts', () => {
  const { actions, picture } = plan([{ type: 'screenshot', format: 'webp' }, { type: 'click' }], {
    screenshot: { when: 'each', region: { x: 0, y: 0, width: 500, height: 500 } },
    space: 'grid1000',
  });
  expect(picture).toBeUndefined();
  expect(actions[0]?.steps).toEqual([{ do: 'picture', picture: { format: 'webp' } }]);
  expect(actions[1]?.steps.at(-1)).toEqual({
    do: 'picture',
    picture: { region: { x: 0, y: 0, width: 640, height: 400 } },
  });
});

/** The paths and messages of a body that is not valid. */
const issuesOf = (body: object): string[] =>
  ActionsInput.safeParse(body).error?.issues.map(({ path, message }) => `${path.join('.')}: ${message}`) ??
  [];

test.each([
  [
    'an unknown action',
    { actions: [{ type: 'wait', ms: 1 }, { type: 'jump' }] },
    "actions.1.type: Invalid discriminator value. Expected 'click' | 'move'",
  ],
  ['an unknown field', { actions: [{ type: 'move', x: 1, y: 2, z: 3 }] }, 'actions.0: Unrecognized key: "z"'],
  ['half a point', { actions: [{ type: 'click', x: 1 }] }, 'actions.0: give both x and y, or neither'],
  [
    'a control character',
    { actions: [{ type: 'type', text: 'a\u0007' }] },
    'actions.0.text: must not contain control',
  ],
  [
    'half a surrogate pair',
    { actions: [{ type: 'type', text: 'a\ud83d' }] },
    'actions.0.text: must not contain half',
  ],
  [
    '10,001 characters',
    { actions: [{ type: 'type', text: 'é'.repeat(10_001) }] },
    'at most 10000 characters',
  ],
  ['no action', { actions: [] }, 'actions: Too small'],
  ['65 actions', { actions: Array.from({ length: 65 }, () => ({ type: 'click' })) }, 'actions: Too big'],
  [
    'an action of another dialect',
    { actions: [{ type: 'keypress', keys: ['A'] }] },
    "actions.0.type: Invalid discriminator value. Expected 'click'",
  ],
])('%s is refused as it is read', (_case, body, message) => {
  expect(issuesOf(body).join('\n')).toContain(message);
});
