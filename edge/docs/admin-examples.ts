import type { FleetHost } from '@warmwind/shared/contract/admin';

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
