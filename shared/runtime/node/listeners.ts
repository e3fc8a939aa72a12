import type { Redis } from 'ioredis';

/** The number of channels in one request. */
const BATCH = 500;

/**
 * Counts the connections that listen to each of these sharded channels, in their order. Rejects while Redis
 * is unavailable.
 */
export async function countListeners(redis: Redis, channels: string[]): Promise<number[]> {
  const counts: number[] = [];
  for (let from = 0; from < channels.length; from += BATCH) {
    const batch = channels.slice(from, from + BATCH);
    // A name and its count in turn.
    const answer = (await redis.call('PUBSUB', 'SHARDNUMSUB', ...batch)) as (string | number)[];
    counts.push(...batch.map((_, index) => Number(answer[2 * index + 1])));
  }
  return counts;
}
