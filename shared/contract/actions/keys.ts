/** X11's keysyms of the keys that have no character, by their X11 names. */
export const KEYSYM = {
  BackSpace: 0xff08,
  Tab: 0xff09,
  Linefeed: 0xff0a,
  Clear: 0xff0b,
  Return: 0xff0d,
  Pause: 0xff13,
  Scroll_Lock: 0xff14,
  Sys_Req: 0xff15,
  Escape: 0xff1b,
  Multi_key: 0xff20,
  Kanji: 0xff21,
  Muhenkan: 0xff22,
  Henkan: 0xff23,
  Hiragana_Katakana: 0xff27,
  Zenkaku_Hankaku: 0xff2a,
  Hangul: 0xff31,
  Hangul_Hanja: 0xff34,
  Home: 0xff50,
  Left: 0xff51,
  Up: 0xff52,
  Right: 0xff53,
  Down: 0xff54,
  Page_Up: 0xff55,
  Page_Down: 0xff56,
  End: 0xff57,
  Begin: 0xff58,
  Select: 0xff60,
  Print: 0xff61,
  Execute: 0xff62,
  Insert: 0xff63,
  Undo: 0xff65,
  Redo: 0xff66,
  Menu: 0xff67,
  Find: 0xff68,
  Cancel: 0xff69,
  Help: 0xff6a,
  Break: 0xff6b,
  Mode_switch: 0xff7e,
  Num_Lock: 0xff7f,
  KP_Space: 0xff80,
  KP_Tab: 0xff89,
  KP_Enter: 0xff8d,
  KP_Home: 0xff95,
  KP_Left: 0xff96,
  KP_Up: 0xff97,
  KP_Right: 0xff98,
  KP_Down: 0xff99,
  KP_Page_Up: 0xff9a,
  KP_Page_Down: 0xff9b,
  KP_End: 0xff9c,
  KP_Begin: 0xff9d,
  KP_Insert: 0xff9e,
  KP_Delete: 0xff9f,
  KP_Multiply: 0xffaa,
  KP_Add: 0xffab,
  KP_Separator: 0xffac,
  KP_Subtract: 0xffad,
  KP_Decimal: 0xffae,
  KP_Divide: 0xffaf,
  KP_Equal: 0xffbd,
  Shift_L: 0xffe1,
  Shift_R: 0xffe2,
  Control_L: 0xffe3,
  Control_R: 0xffe4,
  Caps_Lock: 0xffe5,
  Shift_Lock: 0xffe6,
  Meta_L: 0xffe7,
  Meta_R: 0xffe8,
  Alt_L: 0xffe9,
  Alt_R: 0xffea,
  Super_L: 0xffeb,
  Super_R: 0xffec,
  Hyper_L: 0xffed,
  Hyper_R: 0xffee,
  Delete: 0xffff,
  ISO_Level3_Shift: 0xfe03,
  ISO_Left_Tab: 0xfe20,
  XF86AudioLowerVolume: 0x1008ff11,
  XF86AudioMute: 0x1008ff12,
  XF86AudioRaiseVolume: 0x1008ff13,
  XF86AudioPlay: 0x1008ff14,
  XF86AudioStop: 0x1008ff15,
  XF86AudioPrev: 0x1008ff16,
  XF86AudioNext: 0x1008ff17,
  XF86HomePage: 0x1008ff18,
  XF86Mail: 0x1008ff19,
  XF86Search: 0x1008ff1b,
  XF86Back: 0x1008ff26,
  XF86Forward: 0x1008ff27,
  XF86Stop: 0x1008ff28,
  XF86Refresh: 0x1008ff29,
  XF86Sleep: 0x1008ff2f,
  XF86Favorites: 0x1008ff30,
  XF86Copy: 0x1008ff57,
  XF86Cut: 0x1008ff58,
  XF86Paste: 0x1008ff6d,
} as const;

/** X11's names of the characters that an ASCII keyboard has beside letters and digits. */
const CHARACTER_NAMES: Readonly<Record<string, string>> = {
  space: ' ',
  exclam: '!',
  quotedbl: '"',
  numbersign: '#',
  dollar: '$',
  percent: '%',
  ampersand: '&',
  apostrophe: "'",
  quoteright: "'",
  parenleft: '(',
  parenright: ')',
  asterisk: '*',
  plus: '+',
  comma: ',',
  minus: '-',
  period: '.',
  slash: '/',
  colon: ':',
  semicolon: ';',
  less: '<',
  equal: '=',
  greater: '>',
  question: '?',
  at: '@',
  bracketleft: '[',
  backslash: '\\',
  bracketright: ']',
  asciicircum: '^',
  underscore: '_',
  grave: '`',
  quoteleft: '`',
  braceleft: '{',
  bar: '|',
  braceright: '}',
  asciitilde: '~',
};

/** Other spellings, in lower case without separators, by the X11 name that they mean. */
const SPELLINGS: Partial<Record<keyof typeof KEYSYM, string>> = {
  Alt_L: 'alt altleft option optionleft opt',
  Alt_R: 'altright optionright',
  BackSpace: 'bksp',
  Cancel: 'browsercancel',
  Caps_Lock: 'caps',
  Control_L: 'ctrl control ctrll ctrlleft controlleft',
  Control_R: 'ctrlr ctrlright controlright',
  Delete: 'del',
  Down: 'arrowdown downarrow',
  Escape: 'esc',
  Hangul: 'hangulmode hanguel lang1',
  Hangul_Hanja: 'hanjamode hanja lang2',
  Henkan: 'convert',
  Hiragana_Katakana: 'kanamode kana',
  Hyper_L: 'hyper',
  ISO_Level3_Shift: 'altgr altgraph level3shift',
  ISO_Left_Tab: 'backtab',
  Insert: 'ins',
  KP_Add: 'numpadadd add kpplus',
  KP_Decimal: 'numpaddecimal decimal kpperiod',
  KP_Divide: 'numpaddivide divide kpslash',
  KP_Enter: 'numpadenter',
  KP_Equal: 'numpadequal',
  KP_Multiply: 'numpadmultiply multiply kpasterisk',
  KP_Page_Down: 'kpnext',
  KP_Page_Up: 'kpprior',
  KP_Separator: 'numpadcomma separator kpcomma',
  KP_Subtract: 'numpadsubtract subtract kpminus',
  Kanji: 'kanjimode',
  Left: 'arrowleft leftarrow',
  Menu: 'contextmenu apps application',
  Mode_switch: 'modechange',
  Muhenkan: 'nonconvert',
  Multi_key: 'compose',
  Num_Lock: 'numpadlock',
  Page_Down: 'pgdn pgdown next pagedn',
  Page_Up: 'pgup prior',
  Pause: 'pausebreak',
  Print: 'printscreen prtscr prtsc prntscrn snapshot sysrq',
  Return: 'enter \n \r newline',
  Right: 'arrowright rightarrow',
  Shift_L: 'shift shiftleft',
  Shift_R: 'shiftright',
  Super_L: 'cmd command meta super win windows os cmdleft metaleft superleft winleft osleft cmdl winl',
  Super_R: 'cmdright metaright superright winright osright cmdr winr',
  Tab: '\t',
  Up: 'arrowup uparrow',
  XF86AudioLowerVolume: 'audiovolumedown volumedown',
  XF86AudioMute: 'audiovolumemute volumemute',
  XF86AudioNext: 'mediatracknext nexttrack',
  XF86AudioPlay: 'mediaplaypause mediaplay playpause',
  XF86AudioPrev: 'mediatrackprevious prevtrack',
  XF86AudioRaiseVolume: 'audiovolumeup volumeup',
  XF86AudioStop: 'mediastop',
  XF86Back: 'browserback',
  XF86Favorites: 'browserfavorites',
  XF86Forward: 'browserforward',
  XF86HomePage: 'browserhome',
  XF86Mail: 'launchmail',
  XF86Refresh: 'browserrefresh',
  XF86Search: 'browsersearch',
  XF86Sleep: 'sleep standby',
  XF86Stop: 'browserstop',
};

/** Case and separators within a name make no difference. */
const normalized = (name: string): string => name.toLowerCase().replace(/(?<=.)[_\- ](?=.)/g, '');

/**
 * The keysym of a character: its code for Latin-1, otherwise its code point with X11's flag for Unicode.
 * @param character one code point; a line break means Return and a tab Tab
 */
export function characterKeysym(character: string): number {
  if (character === '\n' || character === '\r') return KEYSYM.Return;
  if (character === '\t') return KEYSYM.Tab;
  const point = character.codePointAt(0) ?? 0;
  return point < 0x100 ? point : 0x100_0000 + point;
}

const numbered = (count: number, first: number, name: (n: number) => string, keysym: (n: number) => number) =>
  Array.from({ length: count }, (_, n): [string, number] => [name(n + first), keysym(n)]);

/** The names of all keys with their keysyms. */
export const KEY_NAMES: readonly [string, number][] = [
  ...Object.entries(KEYSYM),
  ...Object.entries(CHARACTER_NAMES).map(([name, character]): [string, number] => [
    name,
    character.charCodeAt(0),
  ]),
  ...numbered(
    35,
    1,
    (n) => `F${n}`,
    (n) => 0xffbe + n,
  ),
  ...numbered(
    4,
    1,
    (n) => `KP_F${n}`,
    (n) => 0xff91 + n,
  ),
  ...['KP_', 'Numpad', 'num'].flatMap((prefix) =>
    numbered(
      10,
      0,
      (n) => `${prefix}${n}`,
      (n) => 0xffb0 + n,
    ),
  ),
  ...numbered(
    10,
    0,
    (n) => `Digit${n}`,
    (n) => 0x30 + n,
  ),
  ...numbered(
    26,
    0,
    (n) => `Key${String.fromCharCode(0x41 + n)}`,
    (n) => 0x61 + n,
  ),
  ...Object.entries(SPELLINGS).flatMap(([name, spellings]) =>
    spellings.split(' ').map((spelling): [string, number] => [spelling, KEYSYM[name as keyof typeof KEYSYM]]),
  ),
];

const byName = new Map(KEY_NAMES.map(([name, keysym]) => [normalized(name), keysym]));

/** The keysym of a key by one of its names, or of a single character; `undefined` for any other text. */
export function keysymOf(name: string): number | undefined {
  const [first, ...rest] = name;
  if (first !== undefined && rest.length === 0) {
    if (/\p{Cs}/u.test(first)) return undefined;
    return /[\p{Cc}]/u.test(first) ? byName.get(first) : characterKeysym(first);
  }
  return byName.get(normalized(name));
}

/** The names that a text may have meant, nearest first. */
export function nearNames(name: string, most = 3): string[] {
  const wanted = normalized(name);
  return KEY_NAMES.map(([known]): [number, string] => [distance(wanted, normalized(known)), known])
    .filter(([far, known]) => known.length > 1 && far <= Math.max(1, Math.ceil(wanted.length / 3)))
    .sort(([a], [b]) => a - b)
    .slice(0, most)
    .map(([, known]) => known);
}

/** Letters that are inserted, removed or replaced between two texts of at most 64. */
function distance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, n) => n);
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (from[i - 1] === to[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}
