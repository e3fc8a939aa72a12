import { expect, test } from 'vitest';
import { fitsClipboard, HOST_AWAY, MAX_OFFER_BYTES, ScreenInput } from '../contract/screen.ts';
import { DISCONNECTED } from './screen.ts';
import { statusOf } from './status.ts';

const seen = { watching: true, picture: true };

test.each([
  ['a picture at rest', seen, 'live', ''],
  ['one whose host is away', { ...seen, gone: HOST_AWAY }, 'frozen', 'host is away'],
  ['one whose relay is away', { ...seen, gone: DISCONNECTED }, 'frozen', 'connection is interrupted'],
  ['one whose stream broke off', { ...seen, gone: 'the display closed' }, 'frozen', 'interrupted'],
  ['a paused desktop', { ...seen, desktop: 'paused' }, 'frozen', 'paused'],
  [
    'a desktop that has no host yet',
    { watching: true, picture: false, gone: HOST_AWAY, desktop: 'starting' },
    'starting',
    'is starting',
  ],
  [
    'a running one whose host is away',
    { watching: true, picture: false, gone: HOST_AWAY },
    'starting',
    'as soon as it is back',
  ],
  [
    'one that ended, whatever else was said',
    { ...seen, gone: HOST_AWAY, refused: 'no', desktop: 'stopped' },
    'ended',
    'stopped',
  ],
  [
    'one whose time to live is over',
    { ...seen, desktop: 'stopped', reason: 'expired' },
    'ended',
    'time to live is over',
  ],
  ['one that nobody used', { ...seen, desktop: 'stopped', reason: 'idle' }, 'ended', 'nobody used it'],
  ['one that may not be watched any more', { ...seen, refused: 'go away' }, 'refused', 'go away'],
] as const)('%s is shown for what it is', (_what, known, state, text) => {
  const status = statusOf(known);
  expect(status.state).toBe(state);
  expect(status.text).toContain(text);
});

test('a text is taken exactly when its message fits into what a relay reads', () => {
  for (const letter of ['a', 'ä', '🌬', '\u0001', '"']) {
    const bytes = Buffer.byteLength(JSON.stringify(letter)) - 2;
    const most = letter.repeat(Math.floor((MAX_OFFER_BYTES - 2) / bytes));
    expect(fitsClipboard(most)).toBe(true);
    expect(fitsClipboard(most + letter)).toBe(false);
    const message = JSON.stringify([
      'vnc:input',
      { containerId: 'x'.repeat(64), input: { t: 'cut', text: most } },
    ]);
    expect(Buffer.byteLength(message)).toBeLessThan(64 * 1024 - 100);
    expect(ScreenInput.safeParse({ t: 'cut', text: most + letter }).success).toBe(false);
  }
});
