import type { ContainerSpec } from '@warmwind/shared/contract/containers';
import type { ContainerChange } from '@warmwind/shared/engine/node/records';

/** The change that says of a desktop which is starting, placed under `fence`, that it has been up since `startedAt`, ms. */
export function runningSince(spec: ContainerSpec, fence: number, startedAt: number): ContainerChange {
  const { width, height, ttlSeconds } = spec;
  const expiresAt = startedAt + ttlSeconds * 1000;
  return { to: 'running', from: ['starting'], fence, startedAt, expiresAt, width, height };
}
