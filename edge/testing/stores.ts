import { keys } from '@warmwind/shared/engine/keys';
import type { TestEdge } from '../../infra/local/edge/testing.ts';

/** Redis and ledger as they are before the first request. */
export async function emptyStores({ gateway, postgres }: TestEdge): Promise<void> {
  await gateway.redis.client.flushall();
  await postgres.sql`truncate jobs, job_changes, job_inputs, containers, container_changes, idempotency_keys, usage_days, heartbeat`;
}

/** Redis loses everything. */
export const forget = ({ gateway }: TestEdge) => gateway.redis.client.flushall();

/** Ids of what waits in a queue, in the order in which it is taken. */
export async function waiting({ gateway }: TestEdge, queue = 'containers'): Promise<string[]> {
  const { client } = gateway.redis;
  const place = `${keys.bullmqPrefix(queue)}:${queue}`;
  const first = await client.lrange(`${place}:wait`, 0, -1);
  return [...first.reverse(), ...(await client.zrange(`${place}:prioritized`, 0, '-1'))];
}
