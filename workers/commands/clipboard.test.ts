import { ClipboardWrite, MAX_CLIPBOARD_WRITE_BYTES } from '@warmwind/shared/contract/clipboard';
import { MAX_CLIPBOARD_CHARS } from '@warmwind/shared/contract/screen';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ENGINE_WITHIN_MS } from '../../infra/quality/testing/docker.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import type { Call } from '../calls/call.ts';
import { startTestDesktop, type TestDesktop } from '../testing/desktop.ts';
import { createReadClipboard, createWriteClipboard } from './clipboard.ts';

let desktop: TestDesktop;

beforeAll(async () => {
  desktop = await startTestDesktop();
}, ENGINE_WITHIN_MS);
afterAll(() => desktop?.remove());

const call = <Input>(input: Input) =>
  ({ containerId: 'c', input, signal: AbortSignal.timeout(20_000) }) as Call<Input>;
const supervisors = { of: () => desktop.supervisor };
const read = async () => (await createReadClipboard(supervisors)(call({}))).text;
const write = (text: string) => createWriteClipboard(supervisors)(call({ text }));
/** What a program inside pastes, as hexadecimal digits. */
const pasted = () =>
  desktop.inside("xclip -display :0 -selection clipboard -o | od -An -v -tx1 | tr -d ' \\n'");
/** Copies the output of a shell command inside. */
const copy = (command: string, options = '') =>
  desktop.inside(`${command} | nohup xclip -display :0 -selection clipboard -i ${options} >/dev/null 2>&1`);

test('before anything was copied the text is empty', async () => {
  expect(await read()).toBe('');
});

test.each([
  'Grüße 👋🏽 👨‍👩‍👧',
  'two\nlines\r\n\tand a tab',
  'שלום مرحبا',
  '漢字 e\u0301',
  ' ',
  "'; rm -rf ~ #",
])('%j is pasted by a program as it was written, and read as it was copied', async (text) => {
  const bytes = Buffer.from(text);
  expect(await write(text)).toEqual({ bytes: bytes.length });
  expect(await pasted()).toBe(bytes.toString('hex'));
  expect(await read()).toBe(text);
  await copy(`printf %s ${bytes.toString('base64')} | base64 -d`);
  expect(await read()).toBe(text);
});

test('an empty text empties the clipboard', async () => {
  await write('something');
  expect(await write('')).toEqual({ bytes: 0 });
  expect([await pasted(), await read()]).toEqual(['', '']);
});

test('a picture on the clipboard is no text, and text in Latin-1 is', async () => {
  await copy("printf '\\211PNG\\r\\n\\032\\n'", '-t image/png');
  expect(await read()).toBe('');
  await copy("printf 'caf\\351'", '-t STRING');
  expect(await read()).toBe('café');
});

test('the longest text is read, and a longer one is refused with the next step', async () => {
  await copy(`head -c ${MAX_CLIPBOARD_CHARS} /dev/zero | tr '\\0' a`);
  expect(await read()).toHaveLength(MAX_CLIPBOARD_CHARS);
  for (const longer of [MAX_CLIPBOARD_CHARS + 1, MAX_CLIPBOARD_CHARS * 4]) {
    await copy(`head -c ${longer} /dev/zero | tr '\\0' a`);
    await expect(read()).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('file'),
    });
  }
});

test('a program that holds the clipboard and does not answer is reported', async () => {
  await copy('printf frozen');
  await desktop.inside('pkill -STOP -x xclip');
  await expect(read()).rejects.toMatchObject({ code: 'unavailable' });
  // The clipboard works again after the next write.
  await write('thawed');
  await desktop.inside('pkill -CONT -x xclip');
  expect(await read()).toBe('thawed');
});

test('each write ends the program that held the text before, and reads leave none', async () => {
  for (const text of ['one', 'two', 'three']) await write(text);
  await copy('printf four');
  expect(await read()).toBe('four');
  await write('five');
  await waitFor('one program', async () => (await desktop.supervisor.list()).length === 1);
  expect(await desktop.supervisor.list()).toMatchObject([{ state: 'running', background: true }]);
});

test('64 KB are written, and a longer text or one with NUL is not valid', async () => {
  const text = '€'.repeat(MAX_CLIPBOARD_WRITE_BYTES / 3);
  expect(ClipboardWrite.safeParse({ text }).success).toBe(true);
  await write(text);
  expect(await read()).toBe(text);
  for (const wrong of [`${text}€`, 'a\0b', 7, undefined]) {
    expect(ClipboardWrite.safeParse({ text: wrong }).success).toBe(false);
  }
});
