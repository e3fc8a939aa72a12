import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseChord } from './chord.ts';
import { characterKeysym, KEY_NAMES, KEYSYM, keysymOf, nearNames } from './keys.ts';

const { Control_L, Shift_L, Alt_L, Super_L } = KEYSYM;
const of = (character: string) => character.charCodeAt(0);

test('no two keys share a name, whatever its case and separators', () => {
  const bySpelling = new Map<string, Set<number>>();
  for (const [name, keysym] of KEY_NAMES) {
    const spelling = name.toLowerCase().replaceAll(/(?<=.)[_\- ](?=.)/g, '');
    bySpelling.set(spelling, (bySpelling.get(spelling) ?? new Set()).add(keysym));
  }
  expect([...bySpelling].filter(([, keysyms]) => keysyms.size > 1)).toEqual([]);
});

test.each([
  ['Return', 0xff0d],
  ['Enter', 0xff0d],
  ['ENTER', 0xff0d],
  ['page_up', 0xff55],
  ['PageUp', 0xff55],
  ['pgup', 0xff55],
  ['Prior', 0xff55],
  ['Next', 0xff56],
  ['ArrowLeft', 0xff51],
  ['Left', 0xff51],
  ['cmd', Super_L],
  ['meta', Super_L],
  ['SUPER', Super_L],
  ['win', Super_L],
  ['option', Alt_L],
  ['altgr', 0xfe03],
  ['KP_0', 0xffb0],
  ['num9', 0xffb9],
  ['Numpad5', 0xffb5],
  ['F1', 0xffbe],
  ['f24', 0xffd5],
  ['esc', 0xff1b],
  ['del', 0xffff],
  ['prtsc', 0xff61],
  ['ContextMenu', 0xff67],
  ['KeyA', of('a')],
  ['Digit7', of('7')],
  ['space', of(' ')],
  ['plus', of('+')],
  ['a', of('a')],
  ['A', of('A')],
  ['_', of('_')],
  ['é', 0xe9],
  ['ж', 0x100_0436],
  ['😀', 0x101_f600],
  ['\n', 0xff0d],
  ['\t', 0xff09],
])('the name %j is a key', (name, keysym) => {
  expect(keysymOf(name)).toBe(keysym);
});

test.each(['', 'ctrll+', 'Retrun', 'ab', 'F36', '\u0001', '\ud83d'])('%j is no name', (name) => {
  expect(keysymOf(name)).toBeUndefined();
});

test('names near an unknown one are suggested', () => {
  expect(nearNames('Retrun')).toContain('Return');
  expect(nearNames('escpe')).toContain('Escape');
  expect(nearNames('%%%%%%%%%%')).toEqual([]);
});

test.each([
  ['ctrl+shift+t', [Control_L, Shift_L, of('T')]],
  ['ctrl++', [Control_L, of('+')]],
  ['ctrl + c', [Control_L, of('c')]],
  ['+', [of('+')]],
  [' ', [of(' ')]],
  ['ctrl+ ', [Control_L, of(' ')]],
  ['ctrl + +', [Control_L, of('+')]],
  ['ctrl+C', [Control_L, of('c')]],
  ['Shift+1', [Shift_L, of('!')]],
  ['shift+Tab', [Shift_L, KEYSYM.Tab]],
  ['A', [of('A')]],
  ['Page Up', [KEYSYM.Page_Up]],
  [
    ['CTRL', 'C'],
    [Control_L, of('c')],
  ],
  [
    ['CTRL', '+'],
    [Control_L, of('+')],
  ],
  [
    ['ctrl+shift', 's'],
    [Control_L, Shift_L, of('S')],
  ],
])('the chord %j is read', (keys, keysyms) => {
  expect(parseChord(keys)).toEqual(keysyms);
});

test.each([
  ['ctrl+', 'empty'],
  ['+ctrl', 'empty'],
  ['ctrl+foo', '"foo" is not the name of a key'],
  ['ctrl-c', '"ctrl-c" is not the name of a key'],
  ['a+a', 'twice'],
  [['ctrl', ''], 'empty'],
])('the chord %j is refused', (keys, message) => {
  expect(() => parseChord(keys)).toThrow(message);
});

test('every character but control characters and surrogates is a key, and the keysyms differ', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }), (character) => {
      const isKey = !/[\p{Cc}\p{Cs}]/u.test(character);
      if (isKey) expect(keysymOf(character)).toBe(characterKeysym(character));
    }),
  );
});

test('a chord is read back from its names, joined or as a list', () => {
  const name = fc.constantFrom('ctrl', 'alt', 'F5', 'é', 'ж', '+', 'Home', 'super', '/', '1');
  fc.assert(
    fc.property(fc.uniqueArray(name, { minLength: 1, maxLength: 5 }), (names) => {
      const plusLast = [...names.filter((each) => each !== '+'), ...names.filter((each) => each === '+')];
      expect(parseChord(plusLast.join('+'))).toEqual(parseChord(plusLast));
      expect(parseChord(plusLast)).toEqual(plusLast.map(keysymOf));
    }),
  );
});
