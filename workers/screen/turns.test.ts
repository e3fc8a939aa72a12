import { setImmediate as nextLook } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ScreenTurns, TURN_MS, type Turn } from './turns.ts';

let given: string[];
let stopped: boolean;
beforeEach(() => {
  given = [];
  stopped = false;
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] });
});
afterEach(() => {
  stopped = true;
  vi.useRealTimers();
});

/** Takes every turn, and uses all of it. */
async function greedy(turn: Turn, name: string): Promise<void> {
  while (!stopped) {
    await turn.take();
    given.push(name);
    turn.spent(TURN_MS);
    await nextLook();
  }
}

/** Lets time pass; sockets are polled in every millisecond. */
async function pass(ms: number): Promise<void> {
  for (let at = 0; at < ms; at++) {
    vi.advanceTimersByTime(1);
    for (let look = 0; look < 3; look++) await nextLook();
  }
}
const count = (name: string) => given.filter((one) => one.startsWith(name)).length;

test('users share the time equally, however many screens each has, as do screens of one user', async () => {
  const turns = new ScreenTurns();
  for (let screen = 0; screen < 10; screen++) void greedy(turns.join('mallory'), `mallory ${screen}`);
  void greedy(turns.join('ada'), 'ada');
  await pass(4000);
  expect(count('ada') / given.length).toBeGreaterThan(0.4);
  expect(count('ada') / given.length).toBeLessThan(0.6);
  for (let screen = 0; screen < 10; screen++) {
    expect(count(`mallory ${screen}`) / count('mallory')).toBeGreaterThan(0.05);
  }
  // Less than all of the process's time, in turns of that length.
  expect(given.length * TURN_MS).toBeLessThan(0.8 * 4000);
});

test('a screen that changes now and then waits for one turn at most, whatever the load', async () => {
  const turns = new ScreenTurns();
  for (let user = 0; user < 10; user++) void greedy(turns.join(`mallory ${user}`), 'mallory');
  const ada = turns.join('ada');
  await pass(500);
  const before: number[] = [];
  for (let change = 0; change < 20; change++) {
    await pass(20);
    const asked = given.length;
    let came = false;
    const turn = Promise.resolve(ada.take()).then(() => {
      came = true;
      before.push(given.length - asked);
      ada.spent(0.2);
    });
    while (!came) await pass(1);
    await turn;
  }
  expect(Math.max(...before)).toBeLessThanOrEqual(1);
});

test('one user alone gets half of the time, and saves none up', async () => {
  const turns = new ScreenTurns();
  for (let screen = 0; screen < 3; screen++) void greedy(turns.join('ada'), 'ada');
  await pass(2000);
  expect(given.length * TURN_MS).toBeGreaterThan(0.4 * 2000);
  expect(given.length * TURN_MS).toBeLessThan(0.6 * 2000);
});

test('recent use of a user still counts when all of their screens begin again', async () => {
  const turns = new ScreenTurns();
  void greedy(turns.join('mallory'), 'before');
  await pass(1000);
  stopped = true;
  await pass(10);
  stopped = false;
  void greedy(turns.join('ada'), 'ada');
  for (let screen = 0; screen < 10; screen++) void greedy(turns.join('mallory'), 'again');
  await pass(300);
  expect(count('ada')).toBeGreaterThan(count('again'));
});

test('bytes on the wire are one budget for all screens of a user', () => {
  const turns = new ScreenTurns();
  const [first, second, other] = [turns.join('mallory'), turns.join('mallory'), turns.join('ada')];
  expect(first.sent(2 ** 20)).toBe(0);
  expect(first.sent(16 * 2 ** 20)).toBeGreaterThan(1000);
  expect(second.sent(0)).toBeGreaterThan(1000);
  expect(other.sent(2 ** 20)).toBe(0);
});
