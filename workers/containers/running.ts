import type { ContainerSpec } from '@warmwind/shared/contract/containers';
import type { ContainerChange } from '@warmwind/shared/engine/node/records';

/**
 * The change of a starting desktop to running.
 * @param fence of its placement
 * @param startedAt ms since 1970
 */
export function runningSince(spec: ContainerSpec, fence: number, startedAt: number): ContainerChange {
  const { width, height, ttlSeconds } = spec;
  const expiresAt = startedAt + ttlSeconds * 1000;
  return { to: 'running', from: ['starting'], fence, startedAt, expiresAt, width, height };
}
