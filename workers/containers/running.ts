import type { ContainerChange, DesktopRecord } from '@warmwind/shared/node/records';
import { parseSpec } from './spec.ts';

/** The change that says of a desktop which is starting that it has been up since `startedAt`, ms. */
export function runningSince(record: DesktopRecord, startedAt: number): ContainerChange {
  const { width, height, ttlSeconds } = parseSpec(record.spec);
  const expiresAt = startedAt + ttlSeconds * 1000;
  return { to: 'running', from: ['starting'], fence: record.fence, startedAt, expiresAt, width, height };
}
