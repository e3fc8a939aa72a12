import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { EUROPEAN } from '../../quality/e2e/texts.ts';

test('the keymap has each letter of European sentences once', async () => {
  const keymap = await readFile(join(import.meta.dirname, 'root/etc/warmwind/keymap.xkb'), 'utf8');
  const codes = [...keymap.matchAll(/\bU([0-9A-F]{4})\b/g)].map(([, code = '']) => Number.parseInt(code, 16));
  expect(new Set(codes).size).toBe(codes.length);
  const letters = Object.values(EUROPEAN).join('').match(/\p{L}/gu) ?? [];
  const missing = letters.filter(
    (letter) => letter > '\u007f' && !codes.includes(letter.codePointAt(0) ?? 0),
  );
  expect(missing).toEqual([]);
});
