import { expect, test } from 'vitest';
import { type EngineEvent, endedByRestart, hasRestarted, mayBeStopping } from './engine-restart.ts';

const MS = 1e6;
const event = (action: string, at: number, name = 'mine'): EngineEvent => ({
  Type: 'container',
  Action: action,
  Actor: { Attributes: { name } },
  timeNano: at * MS,
});
/** The events of others that fill the log of the engine, from a time on, ms. */
const others = (from: number) =>
  Array.from({ length: 256 }, (_, i) => event('start', from + i, `other-${i}`));

test.each<[name: string, events: EngineEvent[], isLiveRestored: boolean, expected: boolean]>([
  ['it exited on its own', [event('start', 10), event('die', 20)], false, false],
  ['somebody killed it', [event('start', 10), event('kill', 19), event('die', 20)], false, false],
  ['somebody removed it', [event('kill', 19), event('die', 20), event('destroy', 21)], false, false],
  ['the engine ended it as it stopped: its memory is empty', [], false, true],
  ['the engine has only events since', [event('start', 30, 'other')], false, true],
  [
    'the engine killed it as it came back',
    [event('kill', 20), event('die', 20), event('stop', 20)],
    false,
    true,
  ],
  [
    'it survived a restart of the engine, and somebody stopped it then',
    [event('kill', 20), event('die', 20), event('stop', 20)],
    true,
    false,
  ],
  ['it survived a restart of the engine, and exited on its own then', [event('die', 20)], true, false],
  ['the log is full, and begins after its end', others(21), false, false],
  ['the log is full, and begins before its end', others(19), false, true],
  ['the log is full, and has its end', [...others(15).slice(1), event('die', 20)], false, false],
])('%s', (_, events, isLiveRestored, expected) => {
  const remembered = { events, names: ['mine', 'mine-too'], endedAt: 20, isLiveRestored };
  expect(endedByRestart(remembered)).toBe(expected);
});

test('a container that the engine no longer has was lost by a restart, unless the log shows its end', () => {
  const gone = { names: ['mine'], endedAt: undefined, isLiveRestored: false };
  expect(endedByRestart({ ...gone, events: [] })).toBe(true);
  expect(endedByRestart({ ...gone, events: [event('destroy', 20)] })).toBe(false);
  expect(endedByRestart({ ...gone, events: others(0) })).toBe(false);
});

test('an engine that did not see a running container start was restarted, unless its log may have lost that', () => {
  const running = { names: ['mine'], endedAt: undefined, isLiveRestored: true };
  expect(hasRestarted({ ...running, events: [event('start', 9, 'other')] })).toBe(true);
  expect(hasRestarted({ ...running, events: [event('start', 9)] })).toBe(false);
  expect(hasRestarted({ ...running, events: others(0) })).toBe(false);
});

test('an end that the engine has just asked for is not decided: the engine may be stopping', () => {
  const kill = (signal: string): EngineEvent => ({
    ...event('kill', 20),
    Actor: { Attributes: { name: 'mine', signal } },
  });
  const isUndecided = (events: EngineEvent[], now: number) =>
    mayBeStopping({ events, names: ['mine'], endedAt: 20, isLiveRestored: false }, now);
  const asked = [event('start', 10), kill('15'), event('die', 20)];
  expect(isUndecided(asked, 21)).toBe(true);
  expect(isUndecided(asked, 30_000)).toBe(false);
  // Somebody killed it; it exited on its own; the engine ended it as it came back.
  expect(isUndecided([event('start', 10), kill('9'), event('die', 20)], 21)).toBe(false);
  expect(isUndecided([event('start', 10), event('die', 20)], 21)).toBe(false);
  expect(isUndecided([kill('15'), event('die', 20)], 21)).toBe(false);
});
