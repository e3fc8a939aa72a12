import { z } from 'zod';
import type { ContainerSpec } from './containers.ts';

const amount = z.number().min(0);

/**
 * The resources of a container or a machine: MB of memory and disk, CPUs, GPUs, and a number of containers.
 */
export const ResourceVector = z.object({
  memoryMb: amount.describe('Memory, MB.'),
  cpus: amount.describe('CPUs.'),
  diskMb: amount.describe('Disk, MB.'),
  gpus: amount.describe('GPU devices.'),
  containers: amount.describe('How many containers.'),
});
export type ResourceVector = z.infer<typeof ResourceVector>;
export type Resource = keyof ResourceVector;

/** The total resources of a host; one that is left out is not bounded. */
export const Capacity = ResourceVector.partial();
export type Capacity = z.infer<typeof Capacity>;

/**
 * The resources that a host publishes. Hosts of one `machine`, named by its engine's id and its name, share
 * them. Hosts of earlier releases publish the first two fields only.
 */
export const HostResources = z.object({
  machine: z.string(),
  capacity: Capacity,
  /** The CPUs of the machine: the most that one container can have, although `capacity.cpus` may be more. */
  machineCpus: z.number().optional(),
  /** The ids of the GPU devices that it offers; as many as `capacity.gpus`. */
  gpuIds: z.array(z.string()).default([]),
  /** The references of the images that its engine has, without ids; left out when they are unknown or too many. */
  images: z.array(z.string()).optional(),
  /** The releases of the worker and of the engine. */
  versions: z.object({ worker: z.string(), engine: z.string() }).optional(),
  /** Whether it takes no new containers: see `keys.drainingHosts`. */
  draining: z.boolean().default(false),
});
export type HostResources = z.infer<typeof HostResources>;

/** The value of a host in `keys.drainingHosts`; `since` in ms. */
export const Draining = z.object({ since: z.number() });
export type Draining = z.infer<typeof Draining>;

/**
 * The resources that one placement of a container takes on its host's machine; `at` in ms. `containerId` is
 * empty for an instance of the warm pool.
 */
export const Reservation = z.object({
  containerId: z.string(),
  host: z.string(),
  vector: ResourceVector,
  at: z.number(),
  /** The GPU devices that it has for itself, as many as `vector.gpus`. */
  gpuIds: z.array(z.string()).default([]),
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
