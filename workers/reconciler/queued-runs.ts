import { keys } from '@warmwind/shared/engine/keys';
import { hostQueues, JOB_QUEUES } from '@warmwind/shared/engine/queues';
import type { Redis } from 'ioredis';
import { answers, PAGE } from './pages.ts';

/** The lists and sorted sets in which BullMQ keeps the unfinished runs of a queue. */
const LISTS = ['wait', 'paused', 'active'] as const;
const SORTED_SETS = ['prioritized', 'delayed'] as const;

/**
 * The state of a run in BullMQ: `no` when absent, `held` while it waits or runs, or the time at which it
 * finished, ms.
 */
export type QueuedRun = 'no' | 'held' | number;

const keyIn = (queue: string, name: string): string => `${keys.bullmqPrefix(queue)}:${queue}:${name}`;

/** Looks up runs in their queues. */
export async function lookUp(redis: Redis, runs: { queue: string; id: string }[]): Promise<QueuedRun[]> {
  const pipeline = redis.pipeline();
  for (const { queue, id } of runs) pipeline.hmget(keyIn(queue, id), 'timestamp', 'finishedOn');
  const found = await answers<(string | null)[]>(pipeline.exec());
  return found.map(([timestamp, finishedOn]) => {
    if (!timestamp) return 'no';
    return finishedOn ? Number(finishedOn) : 'held';
  });
}

/** Lists all queues: those of jobs, and those of the known hosts. */
export async function queueNames(redis: Redis): Promise<string[]> {
  const hosts = await redis.zrange(keys.hosts(), '0', '-1');
  return [...JOB_QUEUES, ...hosts.flatMap(hostQueues)];
}

/** A run in its queue: BullMQ's id, the time of its addition in ms, and its data as text. */
export type Entry = { id: string; timestamp: number; data: string };

/**
 * Yields the waiting and active runs of a queue, a page at a time. A run that moves meanwhile may be missed
 * or repeated.
 */
export async function* entriesOf(redis: Redis, queue: string): AsyncGenerator<Entry[]> {
  for (const state of [...LISTS, ...SORTED_SETS]) {
    const list = (LISTS as readonly string[]).includes(state);
    for (let from = 0; ; from += PAGE) {
      const [key, to] = [keyIn(queue, state), from + PAGE - 1];
      const ids = list ? await redis.lrange(key, from, to) : await redis.zrange(key, `${from}`, `${to}`);
      if (ids.length === 0) break;
      yield await readEntries(redis, queue, ids);
    }
  }
}

async function readEntries(redis: Redis, queue: string, ids: string[]): Promise<Entry[]> {
  const pipeline = redis.pipeline();
  for (const id of ids) pipeline.hmget(keyIn(queue, id), 'timestamp', 'data');
  const found = await answers<(string | null)[]>(pipeline.exec());
  return found.flatMap(([timestamp, data], i) =>
    timestamp && data ? { id: ids[i] ?? '', timestamp: Number(timestamp), data } : [],
  );
}
