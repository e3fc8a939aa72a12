import fc from 'fast-check';
import { expect, test } from 'vitest';
import { lastOutput } from './last-output.ts';
import { replaceAllLinear } from './replace-linear.ts';

/** Puts text into the engine's frames. */
function framed(...texts: (string | Uint8Array)[]): Buffer {
  return Buffer.concat(
    texts.map((text) => {
      const bytes = Buffer.from(text as string);
      const head = Buffer.alloc(8);
      head[0] = 2;
      head.writeUInt32BE(bytes.length, 4);
      return Buffer.concat([head, bytes]);
    }),
  );
}

test('any bytes become at most 16 KB of text without control characters', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2000 }), fc.boolean(), fc.nat(40), (bytes, isFramed, times) => {
      const log = Buffer.concat(Array.from({ length: times + 1 }, () => Buffer.from(bytes)));
      const output = lastOutput(isFramed ? framed(log) : log, {});
      expect(Buffer.byteLength(output)).toBeLessThanOrEqual(16 * 1024);
      expect(output.isWellFormed()).toBe(true);
      expect(output).not.toMatch(/[^\P{Cc}\n\t]|[\u202a-\u202e\u2066-\u2069]/u);
    }),
    { seed: 17 },
  );
});

test('frames are joined in order, and a frame that was cut off counts as far as it is there', () => {
  const log = framed('one ', 'two\r\n', 'three');
  expect(lastOutput(log, {})).toBe('one two\nthree');
  expect(lastOutput(log.subarray(0, -2), {})).toBe('one two\nthr');
  expect(lastOutput(Buffer.alloc(0), {})).toBe('');
});

test('escape sequences leave nothing behind, and of a long output the end is kept', () => {
  expect(lastOutput(framed('\x1b[31mred\x1b[0m \x1b]0;title\x07end'), {})).toBe('red end');
  const output = lastOutput(framed(`${'ä'.repeat(100_000)}end`), {});
  expect(Buffer.byteLength(output)).toBe(16 * 1024 - 1);
  expect(output).toMatch(/^ä+end$/);
});

test('no value of the environment is in the output, in whichever form it was printed', () => {
  const value = fc
    .string({ minLength: 4, maxLength: 60 })
    .filter((text) => /^[ -~]*$/.test(text) && text.trim() === text);
  fc.assert(
    fc.property(value, fc.string(), (secret, around) => {
      const forms = [
        secret,
        JSON.stringify(secret),
        encodeURIComponent(secret),
        Buffer.from(secret).toString('base64'),
        Buffer.from(secret).toString('base64url'),
        Buffer.from(secret).toString('hex'),
      ];
      for (const form of forms) {
        const output = lastOutput(framed(`${around}\n${form}\n`), { SECRET: secret });
        expect(output.split('\n').at(-2)?.replaceAll('"', '')).not.toContain(form.replaceAll('"', ''));
      }
    }),
    { seed: 17 },
  );
});

test.each([
  ['Authorization: Bearer abcdef0123456789', 'abcdef'],
  ['postgres://app:hunter2@db/x', 'hunter2'],
  ['password=hunter22', 'hunter22'],
  ['{"api_key": "k3yk3yk3y"}', 'k3yk3y'],
  ['eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1In0.c2lnbmF0dXJl', 'eyJ'],
  ['ww_live0123456789abcdef', 'live0123'],
  ['AKIAABCDEFGHIJKLMNOP', 'ABCDEFGH'],
  ['-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----', 'MIIE'],
])('what looks like a secret is left out of the output: %s', (line, secret) => {
  expect(lastOutput(framed(`before\n${line}\nafter`), {})).not.toContain(secret);
  expect(lastOutput(framed(`before\n${line}\nafter`), {})).toMatch(/^before\n.*after$/s);
});

test('the values of 64 variables of the longest kind leave the text of a long output as short as it was', () => {
  const env = Object.fromEntries(Array.from({ length: 64 }, (_, i) => [`V${i}`, `${'*'.repeat(4090)}${i}`]));
  const line = `${'*'.repeat(3000)}://:bearer token=`;
  expect(lastOutput(framed(line.repeat(40)), env).length).toBeLessThanOrEqual(16 * 1024);
});

test('of a value of many lines each longer line is left out on its own, and words that any program prints stay', () => {
  const key = ['ready', ...Array.from({ length: 60 }, (_, i) => `line-${i}-${'k'.repeat(40)}`)];
  const env = { KEY: key.join('\n') };
  expect(lastOutput(framed(`ready\n${key[7]}\n`), env)).toBe('ready\n***\n');
  expect(lastOutput(framed(`<${env.KEY}>`), env)).toBe('<***>');
});

const OUTPUT_BYTES = 64 * 1024;
test.each([
  ['eyJ-', '***'],
  ['eyJ-0123456789.', undefined],
  ['-----BEGIN ', undefined],
  ['PRIVATE KEY', undefined],
  ['-----BEGIN PRIVATE KEY-----', undefined],
  ['sk-', '***'],
  ['bearer    ', undefined],
  ['://:', undefined],
  ['://a:', undefined],
  ['token = ', undefined],
])('a whole output of %j, which begins a secret again and again, is read in one pass', (part, expected) => {
  const output = lastOutput(framed(part.repeat(OUTPUT_BYTES / part.length)), {});
  expect(output.length).toBeLessThanOrEqual(16 * 1024);
  if (expected !== undefined) expect(output).toBe(expected);
});

test('64 long values that an output resembles everywhere are found', () => {
  const values = Array.from({ length: 64 }, (_, i) => `${'*'.repeat(2000)}${i}${'*'.repeat(2000)}`);
  const env = Object.fromEntries(values.map((value, i) => [`V${i}`, value]));
  const output = lastOutput(framed(`${'*'.repeat(OUTPUT_BYTES - 5000)}\n${values[63]}`), env);
  expect(output.slice(-4)).toBe('\n***');
});

test('a long value is replaced as replaceAll does', () => {
  const piece = fc.string({ unit: fc.constantFrom('a', 'b'), minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(piece, fc.integer({ min: 100, max: 400 }), fc.array(piece), (unit, length, between) => {
      const value = `${unit.repeat(length)}${between[0] ?? ''}`.slice(-length);
      const text = between.map((part) => part + value + value.slice(1, 90)).join(unit);
      expect(replaceAllLinear(text, value, '***')).toBe(text.replaceAll(value, '***'));
    }),
    { seed: 17 },
  );
});
