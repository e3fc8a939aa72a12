import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { liveChecks } from './health.ts';

test('a process at rest is alive, and one that was blocked is not', async () => {
  const { eventLoop } = liveChecks();
  await sleep(1300);
  expect(await eventLoop?.()).toMatchObject({ p99Ms: expect.any(Number) });
  await sleep(300);
  const until = performance.now() + 1500;
  while (performance.now() < until);
  await sleep(300);
  await expect(eventLoop?.()).rejects.toThrow('event loop delayed');
});
