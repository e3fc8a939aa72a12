import { type ContainerSpec, StartContainer } from '@warmwind/shared/contract/containers';
import { SCREEN_VOLUME_BYTES } from '@warmwind/shared/contract/resources';
import type { ContainerCreateOptions } from 'dockerode';
import { z } from 'zod';
import { JobFailureError } from '../runtime/failures.ts';
import { SECCOMP } from './seccomp.ts';
import { terminalsOf } from './terminals.ts';

/**
 * Labels of engine containers and volumes. `fleet` and `host` separate fleets and hosts that share an engine.
 * Labels never change, so the record of a container names its `instance`. `container` and `fence` name the
 * placement for which an instance was created, if any. Those of earlier releases have no `instance` and are
 * found by these two.
 */
export const LABELS = {
  fleet: 'warmwind.fleet',
  host: 'warmwind.host',
  instance: 'warmwind.instance',
  container: 'warmwind.container',
  fence: 'warmwind.fence',
  /** Its reservation on the machine: MB of memory, GPUs (ids, comma-separated), and a uid of its own. */
  memoryMb: 'warmwind.memory-mb',
  gpuIds: 'warmwind.gpu-ids',
  uid: 'warmwind.uid',
} as const;

/** The directory of the container's sockets: at one the image serves RFB, at the other its supervisor HTTP. */
export const RFB_DIRECTORY = '/run/rfb';
export const RFB_SOCKET = 's';
export const SUPERVISOR_SOCKET = 'supervisor';
/** The entry point of an image with a supervisor. */
export const SUPERVISOR_PATH = '/usr/local/bin/supervisor';

const MIB = 2 ** 20;
/**
 * Most processes of a desktop, threads included. It has a uid of its own, for which the kernel counts them; root's do not
 * count.
 */
const MAX_PROCESSES = 256;
/**
 * The log of what a desktop prints, which is read when it fails. The engine bounds it to two files, which it removes with
 * the container.
 */
export const OUTPUT_LOG = {
  Type: 'local',
  Config: { 'max-size': '64k', 'max-file': '2', compress: 'false' },
} as const;
/** Room for the supervisor's own threads and those of its keepers, also when the desktop has all that it may. */
const SUPERVISOR_PROCESSES = 192;
/** `core`: at 1 the kernel also skips a host program that collects dumps. `sigpending` also bounds timers. */
const ULIMITS = [
  { Name: 'nproc', Soft: MAX_PROCESSES, Hard: MAX_PROCESSES },
  { Name: 'core', Soft: 1, Hard: 1 },
  { Name: 'nofile', Soft: 16_384, Hard: 16_384 },
  { Name: 'sigpending', Soft: 4096, Hard: 4096 },
];

const Spec = StartContainer.omit({ name: true, snapshot: true }).extend({
  image: z.string().min(1).max(255),
});

/**
 * Parses a record's `spec`.
 * @throws JobFailureError `invalid_spec`, which is not retried
 */
export function parseSpec(json: string): ContainerSpec {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (error) {
    throw new JobFailureError('invalid_spec', error);
  }
  const parsed = Spec.safeParse(value);
  if (!parsed.success) throw new JobFailureError('invalid_spec', parsed.error);
  return parsed.data;
}

/** The name of an instance's engine container and of its volume. Earlier releases used the container's id. */
export const instanceName = (fleet: string, host: string, instanceId: string): string =>
  `ww-${fleet}-${host}-${instanceId}`;

/** The name of the volume of its terminals, by the name of an instance. */
export const terminalsName = (name: string): string => `${name}-terminals`;

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Reads the instance from the name of a volume. @returns `undefined` for one of another fleet or host */
export function instanceOfVolume(fleet: string, host: string, volume: string): string | undefined {
  const prefix = instanceName(fleet, host, '');
  const id = volume.startsWith(prefix) ? volume.slice(prefix.length).replace(/-terminals$/, '') : '';
  return UUID.test(id) ? id : undefined;
}

/** The instance of a container, by its record. `instanceId` is empty when an earlier release placed it. */
export type Instance = { containerId: string; instanceId: string; fence: number };
export type InstanceLabels = Instance & { fleet: string; host: string };

/**
 * `uid`: user and group of the desktop. `gid`: group of the worker. `seccomp`: whether the kernel supports
 * it. `supervised`: whether the image's entry point is the supervisor.
 */
export type Identity = { uid: number; gid: number; seccomp: boolean; supervised: boolean };

/**
 * What the supervisor needs as PID 1: to start programs as the desktop's user, to take every capability from them, and to
 * end them.
 */
const SUPERVISOR_CAPABILITIES = ['SETUID', 'SETGID', 'SETPCAP', 'KILL'];

/**
 * The user of PID 1. The supervisor is root and starts all else as the desktop's user without any capability; the worker
 * names its path, so that no other program of the image runs as root. An image without a supervisor runs as the desktop's
 * user.
 */
const entryOf = ({ uid, supervised }: Identity) =>
  supervised
    ? { User: '0:0', Entrypoint: [SUPERVISOR_PATH], Cmd: [String(uid)], WorkingDir: '/' }
    : { User: `${uid}:${uid}` };

/**
 * Mount options of the directory of the sockets. The supervisor's image has it owned by root and sticky: the desktop creates
 * its RFB socket there and can't replace the supervisor's. Files in it inherit the worker's group, which may enter it.
 */
const socketsOf = ({ uid, gid, supervised }: Identity): string =>
  `size=${SCREEN_VOLUME_BYTES},${supervised ? `uid=0,gid=${gid},mode=3713` : `uid=${uid},gid=${gid},mode=2710`},nosuid,nodev,noexec`;

/**
 * The engine's options for an unprivileged desktop: read-only root, no capabilities but the supervisor's, no gain
 * by setuid, few system calls, bounded memory, CPUs and processes, no swap, a bounded log, and no
 * network unless it asks for the filtered one. It has a uid of its own, as the kernel limits inotify, timers, pipes
 * and sockets in flight by uid. The directory of its sockets is a 1 MB memory file system, so that a desktop can't
 * fill the host.
 * @throws JobFailureError `no_egress` when the spec asks for a network and this host has none
 */
export function createOptions(
  spec: ContainerSpec,
  place: InstanceLabels,
  identity: Identity,
  { egressNetwork, gpuIds = [] }: { egressNetwork?: string | undefined; gpuIds?: string[] } = {},
): ContainerCreateOptions {
  if (spec.network === 'egress' && !egressNetwork) throw new JobFailureError('no_egress');
  const { uid, seccomp, supervised } = identity;
  const name = instanceName(place.fleet, place.host, place.instanceId);
  const labels = {
    [LABELS.fleet]: place.fleet,
    [LABELS.host]: place.host,
    [LABELS.instance]: place.instanceId,
    ...(place.containerId
      ? { [LABELS.container]: place.containerId, [LABELS.fence]: String(place.fence) }
      : {}),
    [LABELS.memoryMb]: String(spec.memoryMb),
    [LABELS.uid]: String(uid),
    ...(gpuIds.length > 0 ? { [LABELS.gpuIds]: gpuIds.join(',') } : {}),
  };
  const memory = spec.memoryMb * MIB;
  return {
    name,
    Image: spec.image,
    Hostname: 'desktop',
    ...entryOf(identity),
    Labels: labels,
    Env: [
      ...Object.entries(spec.env).map(([key, value]) => `${key}=${value}`),
      `SCREEN_WIDTH=${spec.width}`,
      `SCREEN_HEIGHT=${spec.height}`,
      // An engine whose default runtime is NVIDIA's gives a container the devices that this names, by default
      // those that its image names.
      `NVIDIA_VISIBLE_DEVICES=${gpuIds.join(',') || 'void'}`,
    ],
    HostConfig: {
      ReadonlyRootfs: true,
      CapDrop: ['ALL'],
      ...(supervised ? { CapAdd: SUPERVISOR_CAPABILITIES } : {}),
      SecurityOpt: ['no-new-privileges', ...(seccomp ? [SECCOMP] : [])],
      Ulimits: ULIMITS,
      Memory: memory,
      MemorySwap: memory,
      NanoCpus: Math.round(spec.cpus * 1e9),
      PidsLimit: MAX_PROCESSES + (supervised ? SUPERVISOR_PROCESSES : 0),
      // The devices of this container's own: never a count, by which the engine would choose any.
      ...(gpuIds.length > 0
        ? { DeviceRequests: [{ Driver: 'nvidia', DeviceIDs: gpuIds, Capabilities: [['gpu']] }] }
        : {}),
      IpcMode: 'private',
      ShmSize: 64 * MIB,
      Init: false,
      NetworkMode: spec.network === 'egress' ? egressNetwork : 'none',
      LogConfig: OUTPUT_LOG,
      Tmpfs: {
        '/tmp': 'rw,nosuid,nodev,mode=1777,size=64m',
        '/home/user': `rw,nosuid,nodev,mode=0700,uid=${uid},gid=${uid},size=128m`,
      },
      Mounts: [
        terminalsOf(terminalsName(name), labels),
        {
          Type: 'volume',
          Source: name,
          Target: RFB_DIRECTORY,
          VolumeOptions: {
            NoCopy: true,
            Labels: labels,
            DriverConfig: {
              Name: 'local',
              Options: {
                type: 'tmpfs',
                device: 'tmpfs',
                o: socketsOf(identity),
              },
            },
          },
        },
      ],
    },
  };
}
