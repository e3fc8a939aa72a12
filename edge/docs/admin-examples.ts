import type { FleetHost, UserLimitsRecord } from '@warmwind/shared/contract/admin';
import type { UserLimits } from '@warmwind/shared/contract/limits';
import { LIMITS } from './examples.ts';

/** The examples of the document for administrators. */
export const FLEET_HOST: FleetHost = {
  id: 'worker-1',
  state: 'draining',
  seenAt: '2026-11-25T09:00:00.250Z',
  drainingSince: '2026-11-25T08:59:58.000Z',
  machine: 'b3c1f0d2/worker-1',
  capacity: { memoryMb: 16_384, cpus: 16, gpus: 0, containers: 32 },
  used: { memoryMb: 1536, cpus: 3, diskMb: 0, gpus: 0, containers: 3 },
  machineUsed: { memoryMb: 1536, cpus: 3, diskMb: 0, gpus: 0, containers: 3 },
  containers: 2,
  pooled: 1,
  gpuIds: [],
  images: ['warmwind/desktop:latest'],
  versions: { worker: '1.0.0', engine: '28.5.1' },
};

export const USER_LIMITS: UserLimits = { rateLimits: { user: ['50/s'] }, desktops: 5 };
export const USER_LIMITS_RECORD: UserLimitsRecord = {
  userId: 'user-1',
  limits: USER_LIMITS,
  updatedAt: '2026-11-25T09:00:00.250Z',
  updatedBy: 'root',
  effective: {
    tiers: LIMITS.tiers.map((tier) => ({ ...tier, name: '50/s', limit: 50, remaining: 49 })),
    quotas: [{ name: 'desktops', limit: 5, used: 1 }],
  },
};
