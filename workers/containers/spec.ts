import { type ContainerSpec, StartContainer } from '@warmwind/shared/contract/containers';
import { SCREEN_VOLUME_BYTES } from '@warmwind/shared/contract/resources';
import type { ContainerCreateOptions } from 'dockerode';
import { z } from 'zod';
import { JobFailureError } from '../runtime/failures.ts';
import { SECCOMP } from './seccomp.ts';
import { TERMINALS } from './terminals.ts';

/**
 * Labels of engine containers and volumes; `fleet` and `host` keep systems and hosts on one engine apart. Labels never
 * change, so the record of a container names its `instance`. `container` and `fence` only say for which placement an
 * instance was created, if for any; those of earlier releases have no `instance` and are found by these two.
 */
export const LABELS = {
  fleet: 'warmwind.fleet',
  host: 'warmwind.host',
  instance: 'warmwind.instance',
  container: 'warmwind.container',
  fence: 'warmwind.fence',
  /** What it reserves of its machine: MB of memory, and the uid that it has alone. */
  memoryMb: 'warmwind.memory-mb',
  uid: 'warmwind.uid',
} as const;

/** Where the image serves RFB: a socket in a directory of its own. */
export const RFB_DIRECTORY = '/run/rfb';
export const RFB_SOCKET = 's';

const MIB = 2 ** 20;
/** `core`: 1 also keeps dumps from a program of the host that would take them. `sigpending` counts timers as well. */
const ULIMITS = [
  { Name: 'core', Soft: 1, Hard: 1 },
  { Name: 'nofile', Soft: 16_384, Hard: 16_384 },
  { Name: 'sigpending', Soft: 4096, Hard: 4096 },
];

const Spec = StartContainer.omit({ name: true, snapshot: true }).extend({
  image: z.string().min(1).max(255),
});

/** The record's `spec` → what to create. What this host can't do, or nobody could, fails for good. */
export function parseSpec(json: string): ContainerSpec {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (error) {
    throw new JobFailureError('invalid_spec', error);
  }
  const parsed = Spec.safeParse(value);
  if (!parsed.success) throw new JobFailureError('invalid_spec', parsed.error);
  if (parsed.data.gpus > 0) throw new JobFailureError('no_gpu');
  return parsed.data;
}

/** The name of an instance's engine container and of its volume. In earlier releases the container's id was in its place. */
export const instanceName = (fleet: string, host: string, instanceId: string): string =>
  `ww-${fleet}-${host}-${instanceId}`;

/** What a record says of a container's instance; `instanceId` is empty for one that an earlier release placed. */
export type Instance = { containerId: string; instanceId: string; fence: number };
export type InstanceLabels = Instance & { fleet: string; host: string };

/** `uid`: the desktop's, also its group. `gid`: the worker's. `seccomp`: false where the kernel has none. */
export type Identity = { uid: number; gid: number; seccomp: boolean };

/**
 * A desktop without rights: read-only root, no capabilities, nothing gained by setuid, few system calls, bounded memory,
 * CPUs and processes, no swap, no log on the host's disk, and no network unless it asked for the filtered one. Its uid is
 * its own, as the kernel counts much by uid: inotify, timers, pipes, sockets on their way. The socket's directory is a
 * 1 MB memory file system, so that what writes there can't fill the host; the worker's group may enter it, and what is
 * made in it has that group.
 */
export function createOptions(
  spec: ContainerSpec,
  place: InstanceLabels,
  { uid, gid, seccomp }: Identity,
  egressNetwork: string | undefined,
): ContainerCreateOptions {
  if (spec.network === 'egress' && !egressNetwork) throw new JobFailureError('no_egress');
  const name = instanceName(place.fleet, place.host, place.instanceId);
  const labels = {
    [LABELS.fleet]: place.fleet,
    [LABELS.host]: place.host,
    [LABELS.instance]: place.instanceId,
    [LABELS.container]: place.containerId,
    [LABELS.fence]: String(place.fence),
    [LABELS.memoryMb]: String(spec.memoryMb),
    [LABELS.uid]: String(uid),
  };
  const memory = spec.memoryMb * MIB;
  return {
    name,
    Image: spec.image,
    Hostname: 'desktop',
    User: `${uid}:${uid}`,
    Labels: labels,
    Env: [
      ...Object.entries(spec.env).map(([key, value]) => `${key}=${value}`),
      `SCREEN_WIDTH=${spec.width}`,
      `SCREEN_HEIGHT=${spec.height}`,
    ],
    HostConfig: {
      ReadonlyRootfs: true,
      CapDrop: ['ALL'],
      SecurityOpt: ['no-new-privileges', ...(seccomp ? [SECCOMP] : [])],
      Ulimits: ULIMITS,
      Memory: memory,
      MemorySwap: memory,
      NanoCpus: Math.round(spec.cpus * 1e9),
      PidsLimit: 256,
      IpcMode: 'private',
      ShmSize: 64 * MIB,
      Init: false,
      NetworkMode: spec.network === 'egress' ? egressNetwork : 'none',
      LogConfig: { Type: 'none', Config: {} },
      Tmpfs: {
        '/tmp': 'rw,nosuid,nodev,mode=1777,size=64m',
        '/home/user': `rw,nosuid,nodev,mode=0700,uid=${uid},gid=${uid},size=128m`,
      },
      Mounts: [
        TERMINALS,
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
                o: `size=${SCREEN_VOLUME_BYTES},uid=${uid},gid=${gid},mode=2710,nosuid,nodev,noexec`,
              },
            },
          },
        },
      ],
    },
  };
}
