import type { Redis } from 'ioredis';
import { type QueueDepth, queueDepth } from '../../runtime/health.ts';
import { keys } from '../keys.ts';

/** Where BullMQ keeps a queue's jobs, by state: lists and sorted sets. */
const LISTS = ['wait', 'paused', 'active'] as const;
const SORTED_SETS = ['prioritized', 'delayed', 'failed'] as const;

/**
 * How deep each queue is, in one trip; `above` is the number of waiting jobs above which one reports
 * backpressure.
 */
export async function readDepths(
  redis: Redis,
  names: readonly string[],
  above: number,
): Promise<Record<string, QueueDepth>> {
  const pipeline = redis.pipeline();
  for (const name of names) {
    for (const state of LISTS) pipeline.llen(`${keys.bullmqPrefix(name)}:${name}:${state}`);
    for (const state of SORTED_SETS) pipeline.zcard(`${keys.bullmqPrefix(name)}:${name}:${state}`);
  }
  const replies = (await pipeline.exec()) ?? [];
  const counts = replies.map(([error, count]) => {
    if (error) throw error;
    return Number(count);
  });
  const states = [...LISTS, ...SORTED_SETS];
  return Object.fromEntries(
    names.map((name, i) => {
      const own = states.map((state, j) => [state, counts[i * states.length + j] ?? 0]);
      return [name, queueDepth(Object.fromEntries(own), above)];
    }),
  );
}
