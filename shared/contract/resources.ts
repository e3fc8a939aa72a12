import { z } from 'zod';
import type { ContainerSpec } from './containers.ts';

const amount = z.number().min(0);

/**
 * The resources of a container or a machine: MB of memory and disk, CPUs, GPUs, and a number of containers.
 */
export const ResourceVector = z.object({
  memoryMb: amount,
  cpus: amount,
  diskMb: amount,
  gpus: amount,
  containers: amount,
});
export type ResourceVector = z.infer<typeof ResourceVector>;

/** The total resources of a host; one that is left out is not bounded. */
export const Capacity = ResourceVector.partial();
export type Capacity = z.infer<typeof Capacity>;

/**
 * The resources that a host publishes. Hosts of one `machine`, named by its engine's id and its name, share
 * them.
 */
export const HostResources = z.object({ machine: z.string(), capacity: Capacity });
export type HostResources = z.infer<typeof HostResources>;

/** The resources that one placement of a container takes on its host's machine; `at` in ms. */
export const Reservation = z.object({
  containerId: z.string(),
  host: z.string(),
  vector: ResourceVector,
  at: z.number(),
});
export type Reservation = z.infer<typeof Reservation>;

/** @returns the resources that a container takes; its home is in memory, so no disk */
export const vectorOf = ({
  memoryMb,
  cpus,
  gpus,
}: Pick<ContainerSpec, 'memoryMb' | 'cpus' | 'gpus'>): ResourceVector => ({
  memoryMb,
  cpus,
  diskMb: 0,
  gpus,
  containers: 1,
});

/** The size of the file system that holds the socket of a container's screen. */
export const SCREEN_VOLUME_BYTES = 2 ** 20;
