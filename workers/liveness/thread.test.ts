import type { Worker } from 'node:worker_threads';
import { newId } from '@warmwind/shared/contract/ids';
import { keys } from '@warmwind/shared/engine/keys';
import { createLog } from '@warmwind/shared/runtime/node/log';
import { expect, test } from 'vitest';
import { startRedis } from '../../infra/quality/testing/redis.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { Liveness } from './liveness.ts';

test('a process that was declared dead takes part again, also when its thread ends before it is revived', async () => {
  const redis = await startRedis();
  const threads: Worker[] = [];
  const keep = (thread: Worker) => threads.push(thread);
  process.on('worker', keep);
  const log = createLog('test');
  log.level = 'silent';
  const boot = newId();
  const record = { host: 'h1', queues: {} };
  const liveness = new Liveness({ url: redis.url, boot, record, deadAfterMs: 1000, log });
  const [deaths, lives] = [[] as number[], [] as number[]];
  try {
    liveness.start({
      onOverdue: () => undefined,
      onDead: async () => {
        deaths.push(threads.length);
        // The first thread ends: the request to revive goes to none.
        if (deaths.length === 1) await threads[0]?.terminate();
      },
      onAlive: () => lives.push(threads.length),
    });
    await waitFor('the first beat', async () => (await redis.client.zcard(keys.processBeats())) === 1);
    await redis.client.zadd(keys.deadProcesses(), Date.now(), boot);
    await waitFor('the process to take part again', () => lives.length === 1);
    expect([deaths, lives]).toEqual([[1, 2], [2]]);
    expect(liveness.mayAct).toBe(true);

    // Declared dead once more, it is revived by the same thread.
    await redis.client.zadd(keys.deadProcesses(), Date.now(), boot);
    await waitFor('the process to take part again', () => lives.length === 2);
    expect([deaths, lives]).toEqual([
      [1, 2, 2],
      [2, 2],
    ]);
  } finally {
    process.off('worker', keep);
    await liveness.close();
    await redis.stop();
  }
});
