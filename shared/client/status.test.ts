import { expect, test } from 'vitest';
import { fitsClipboard, HOST_AWAY, MAX_OFFER_BYTES, ScreenInput } from '../contract/screen.ts';
import { DISCONNECTED } from './screen.ts';
import { statusOf } from './status.ts';

const seen = { watching: true, picture: true };

test.each([
  ['a desktop without interruption', seen, 'live', ''],
  ['a desktop whose host is away', { ...seen, gone: HOST_AWAY }, 'frozen', 'host is away'],
  [
    'a desktop whose relay is unreachable',
    { ...seen, gone: DISCONNECTED },
    'frozen',
    'connection is interrupted',
  ],
  [
    'a desktop whose stream was interrupted',
    { ...seen, gone: 'the display closed' },
    'frozen',
    'interrupted',
  ],
  ['a paused desktop', { ...seen, desktop: 'paused' }, 'frozen', 'paused'],
  [
    'a paused desktop whose host was away',
    { ...seen, desktop: 'paused', gone: HOST_AWAY },
    'frozen',
    'is paused',
  ],
  [
    'a paused desktop that this viewer has not seen',
    { watching: true, picture: false, gone: HOST_AWAY, desktop: 'paused' },
    'starting',
    'is paused',
  ],
  [
    'a desktop without a host yet',
    { watching: true, picture: false, gone: HOST_AWAY, desktop: 'starting' },
    'starting',
    'is starting',
  ],
  [
    'a running desktop without a keyframe whose host is away',
    { watching: true, picture: false, gone: HOST_AWAY },
    'starting',
    'when the host returns',
  ],
  [
    'an ended desktop, also when its host is away and its viewer refused,',
    { ...seen, gone: HOST_AWAY, refused: 'no', desktop: 'stopped' },
    'ended',
    'stopped',
  ],
  [
    'a desktop whose time to live is over',
    { ...seen, desktop: 'stopped', reason: 'expired' },
    'ended',
    'time to live is over',
  ],
  ['an idle desktop', { ...seen, desktop: 'stopped', reason: 'idle' }, 'ended', 'was not used'],
  ['a desktop that the viewer may no longer watch', { ...seen, refused: 'go away' }, 'refused', 'go away'],
] as const)('%s is shown with its state and text', (_name, facts, state, text) => {
  const status = statusOf(facts);
  expect(status.state).toBe(state);
  expect(status.text).toContain(text);
});

test('a text for the clipboard is accepted exactly when its message fits the limit of the relay', () => {
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
