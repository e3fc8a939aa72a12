import type { WaitReason } from '@warmwind/shared/contract/jobs';
import type { Capacity, HostResources, Resource, ResourceVector } from '@warmwind/shared/contract/resources';

/** Sums of tenths of a CPU are inexact. */
const EPSILON = 1e-6;
export const RESOURCES = ['memoryMb', 'cpus', 'diskMb', 'gpus', 'containers'] as const satisfies Resource[];

/** The reason of a start that waits for a resource. */
export const REASONS = {
  memoryMb: 'memory',
  cpus: 'cpus',
  diskMb: 'disk',
  gpus: 'gpus',
  containers: 'containers',
} as const satisfies Record<Resource, WaitReason>;

const NOTHING: ResourceVector = { memoryMb: 0, cpus: 0, diskMb: 0, gpus: 0, containers: 0 };

/** @returns the sum of vectors, each resource for itself */
export const sumOf = (vectors: Iterable<ResourceVector>): ResourceVector => {
  const sum = { ...NOTHING };
  for (const vector of vectors) for (const name of RESOURCES) sum[name] += vector[name];
  return sum;
};

/** @returns the first resource of which `used` leaves less than `wanted`; `undefined` when all suffice */
export const shortageOf = (
  wanted: ResourceVector,
  capacity: Capacity,
  used: ResourceVector = NOTHING,
): Resource | undefined =>
  RESOURCES.find(
    (name) => used[name] + wanted[name] > (capacity[name] ?? Number.POSITIVE_INFINITY) + EPSILON,
  );

/** A reference to an image in full but for Docker Hub's own names: `alpine` is `alpine:latest`. */
const referenceOf = (image: string): string => {
  const short = image.replace(/^docker\.io\//, '').replace(/^library\//, '');
  return /[:@][^/]*$/.test(short) ? short : `${short}:latest`;
};

/** Whether a host may have an image: it has, or does not publish its images. Ids of images are not published. */
export const mayHave = ({ images }: Pick<HostResources, 'images'>, image: string): boolean =>
  images === undefined ||
  image.startsWith('sha256:') ||
  images.some((each) => referenceOf(each) === referenceOf(image));

/** @returns the first resource of which an empty host has too little for a container */
export const neverHas = (
  { capacity, machineCpus = Number.POSITIVE_INFINITY }: Pick<HostResources, 'capacity' | 'machineCpus'>,
  wanted: ResourceVector,
): Resource | undefined => (wanted.cpus > machineCpus ? 'cpus' : shortageOf(wanted, capacity));

/** Whether an empty host could hold a container. */
export const couldHold = (
  host: Pick<HostResources, 'capacity' | 'machineCpus' | 'images'>,
  { vector, image }: { vector: ResourceVector; image: string },
): boolean => mayHave(host, image) && neverHas(host, vector) === undefined;

/** Why a start waits, for its owner. */
export const waitMessage = (reason: WaitReason): string => WAIT_MESSAGES[reason];

const WAIT_MESSAGES: Record<WaitReason, string> = {
  memory: 'no host has enough free memory now',
  cpus: 'no host has enough free CPUs now',
  disk: 'no host has enough free disk space now',
  gpus: 'no host has enough free GPUs now',
  containers: 'every host has as many desktops as it may',
  image: 'no host with room has the image now',
  draining: 'every host that could take it is being drained',
};
