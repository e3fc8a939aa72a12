import type { ContainerSpec } from '@warmwind/shared/contract/containers';
import type { ContainerChange } from '@warmwind/shared/engine/node/records';

/**
 * The change of a starting desktop to running.
 * @param start its fence, the time in ms since 1970, and whether it was taken from the warm pool
 */
export function runningSince(
  spec: ContainerSpec,
  { fence, startedAt, warm }: { fence: number; startedAt: number; warm: boolean },
): ContainerChange {
  const { width, height, ttlSeconds } = spec;
  const expiresAt = startedAt + ttlSeconds * 1000;
  return { to: 'running', from: ['starting'], fence, startedAt, expiresAt, width, height, warm };
}
