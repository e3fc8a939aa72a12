import { keys } from '@warmwind/shared/engine/keys';
import type { TestEdge } from '../../infra/local/edge/testing.ts';

/** Empties Redis and the ledger. */
export async function emptyStores({ gateway, postgres }: TestEdge): Promise<void> {
  await gateway.redis.client.flushall();
  await postgres.sql`truncate jobs, job_changes, job_inputs, containers, container_changes, idempotency_keys, usage_days, user_limits, heartbeat`;
}

/** Deletes all data of Redis. */
export const forget = ({ gateway }: TestEdge) => gateway.redis.client.flushall();

/** The ids of the jobs that wait in a queue, in the order in which workers take them. */
export async function waiting({ gateway }: TestEdge, queue = 'containers'): Promise<string[]> {
  const { client } = gateway.redis;
  const place = `${keys.bullmqPrefix(queue)}:${queue}`;
  const first = await client.lrange(`${place}:wait`, 0, -1);
  return [...first.reverse(), ...(await client.zrange(`${place}:prioritized`, 0, '-1'))];
}
