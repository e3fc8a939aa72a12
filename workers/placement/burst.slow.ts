import { isTerminal } from '@warmwind/shared/contract/jobs';
import { keys } from '@warmwind/shared/engine/keys';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ENGINE_WITHIN_MS } from '../../infra/quality/testing/docker.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { createFleet, type Fleet, reached } from '../testing/fleet.ts';
import type { Submitted } from '../testing/submissions.ts';

/** As many starts as come at once, of so many users, and the most of them that run together. */
const STARTS = 20;
const USERS = 5;
const ROOM = 6;

let fleet: Fleet;
beforeAll(async () => {
  fleet = await createFleet();
}, ENGINE_WITHIN_MS);
afterAll(() => fleet?.stop());

const stateOf = async (start: Submitted) => (await fleet.job(start))?.state ?? 'queued';

test('of 20 starts at once all run: some at once, the others as desktops before them stop', async () => {
  const room = { HOST_DESKTOPS: `${ROOM}`, HOST_MEMORY_MB: '4000' };
  await fleet.worker('a', room);
  await fleet.worker('b', room);
  const waiting = await Promise.all(
    Array.from({ length: STARTS }, (_, i) => fleet.startDesktop({ memoryMb: 128 }, `user-${i % USERS}`)),
  );
  let most = 0;
  const stopped = new Set<Submitted>();
  while (stopped.size < STARTS) {
    const next = await waitFor(
      'a start to complete',
      async () => {
        most = Math.max(most, (await fleet.containers()).length);
        for (const start of waiting.filter((each) => !stopped.has(each))) {
          const state = await stateOf(start);
          if (isTerminal(state)) return start;
        }
        return undefined;
      },
      60_000,
    );
    expect(await fleet.job(next)).toMatchObject({ state: 'completed', attemptsMade: 1 });
    stopped.add(next);
    await reached(fleet, await fleet.stopDesktop(next), 'completed', 30_000);
  }
  expect(most).toBeLessThanOrEqual(ROOM);
  expect(await fleet.containers()).toEqual([]);
  const { client } = fleet.queueRedis;
  await waitFor('nothing to wait', async () => (await client.exists(keys.waitingStarts())) === 0);
}, 300_000);
