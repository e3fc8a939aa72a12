import { keys } from '@warmwind/shared/engine/keys';
import { Redis } from 'ioredis';
import { instanceName } from '../../../workers/containers/spec.ts';
import type { TestStack } from './stack.ts';

/** The user whose token `tokens.user` of a stack is. */
const USER = 'user-1';

/**
 * Finds the engine container that a container is, by its record: no label names it when it was taken from the
 * warm pool.
 * @returns the name of the engine container, which is also that of its volume
 */
export async function instanceOf(
  stack: Pick<TestStack, 'file' | 'fleet'>,
  containerId: string,
): Promise<string> {
  const redis = new Redis(stack.file().redis.queue, { maxRetriesPerRequest: 3 });
  redis.on('error', () => undefined);
  try {
    const [host, instanceId] = await redis.hmget(keys.container(USER, containerId), 'host', 'instanceId');
    return instanceName(stack.fleet, host ?? '', instanceId ?? '');
  } finally {
    redis.disconnect();
  }
}
