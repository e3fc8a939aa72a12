import { ok as holds } from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { keys } from '@warmwind/shared/engine/keys';
import { Queue } from 'bullmq';
import { createRestClient } from '../../../edge/queue/client.ts';
import type { Check } from './trace.ts';

/** The largest body that the edge takes for a job. */
const LARGE_BYTES = 900_000;
const AT_ONCE = 50;
const TIMEOUT_MS = 10_000;
/** Keys that BullMQ keeps of a queue whose jobs are gone. */
const LEFT_BEHIND = ['meta', 'id', 'events', 'marker', 'delayed'];

/**
 * Checks the deployed Redis over REST, Upstash's first of all: it must accept our prefix of BullMQ's scripts,
 * binary arguments, a large job, and many jobs at once. The checks use a queue of their own and remove it.
 */
export function restChecks(url: string, token: string): { checks: Check[]; clean: () => Promise<void> } {
  const name = `smoke-${randomUUID().slice(0, 8)}`;
  const queue = new Queue(name, {
    connection: createRestClient({ url, token, timeoutMs: TIMEOUT_MS }),
    prefix: keys.bullmqPrefix(name),
    skipMetasUpdate: true,
  });
  const added: string[] = [];
  const add = async (data: unknown) => {
    const jobId = randomUUID();
    await queue.add('smoke', data, { jobId, delay: 600_000 });
    added.push(jobId);
    return jobId;
  };
  const checks: Check[] = [
    {
      what: 'Redis over REST takes our scripts with binary arguments',
      run: async () => {
        const data = { text: 'żółć 漢字 🖥️ \u0000 \r\n "\\', list: [1, null, { deep: true }] };
        const job = await queue.getJob(await add(data));
        holds(
          JSON.stringify(job?.data) === JSON.stringify(data),
          `read back as ${JSON.stringify(job?.data)}`,
        );
        return '';
      },
    },
    {
      what: 'Redis over REST takes a large job',
      run: async () => {
        const job = await queue.getJob(await add({ text: 'x'.repeat(LARGE_BYTES) }));
        holds(job?.data.text.length === LARGE_BYTES, 'it was truncated');
        return `${LARGE_BYTES / 1000} KB`;
      },
    },
    {
      what: `Redis over REST takes ${AT_ONCE} jobs at once`,
      run: async () => {
        const since = performance.now();
        await Promise.all(Array.from({ length: AT_ONCE }, (_, n) => add({ n })));
        const { delayed = 0 } = await queue.getJobCounts('delayed');
        holds(delayed === added.length, `${delayed} of ${added.length} exist`);
        return `${Math.round(performance.now() - since)} ms`;
      },
    },
  ];
  const clean = async () => {
    for (const id of added) await queue.remove(id).catch(() => undefined);
    await queue.close();
    const left = LEFT_BEHIND.map((part) => `${keys.bullmqPrefix(name)}:${name}:${part}`);
    await fetch(url, {
      method: 'POST',
      headers: { Authorization: `Bearer ${token}` },
      body: JSON.stringify(['DEL', ...left]),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    }).catch(() => undefined);
  };
  return { checks, clean };
}
