import { keys } from '@warmwind/shared/keys';
import type { TestEdge } from '../../infra/edge/testing.ts';

/** Redis and ledger as they are before the first request. */
export async function emptyStores({ gateway, postgres }: TestEdge): Promise<void> {
  await gateway.redis.client.flushall();
  await postgres.sql`truncate jobs, job_changes, containers, container_changes, idempotency_keys, usage_days, heartbeat`;
}

/** Redis loses everything. */
export const forget = ({ gateway }: TestEdge) => gateway.redis.client.flushall();

/** Ids of what waits in a queue. */
export const waiting = ({ gateway }: TestEdge, queue = 'containers'): Promise<string[]> =>
  gateway.redis.client.lrange(`${keys.bull(queue)}:${queue}:wait`, 0, -1);
