import { type ContainerSpec, StartContainer } from '@warmwind/shared/containers';
import type { ContainerCreateOptions } from 'dockerode';
import { z } from 'zod';
import { JobFailure } from '../jobs/errors.ts';

/** Labels that tell whose a container or volume is; `fleet` and `host` keep systems and hosts on one engine apart. */
export const LABELS = {
  fleet: 'warmwind.fleet',
  host: 'warmwind.host',
  container: 'warmwind.container',
  fence: 'warmwind.fence',
} as const;

/** Where the image serves RFB: a socket in a directory of its own. */
const RFB_DIRECTORY = '/run/rfb';
export const RFB_SOCKET = 's';

const MIB = 2 ** 20;
const USER = '1000:1000';

const Spec = StartContainer.omit({ name: true, snapshot: true }).extend({
  image: z.string().min(1).max(255),
});

/** The record's `spec` → what to create. What this host can't do, or nobody could, fails for good. */
export function parseSpec(json: string): ContainerSpec {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (error) {
    throw new JobFailure('invalid_spec', error);
  }
  const parsed = Spec.safeParse(value);
  if (!parsed.success) throw new JobFailure('invalid_spec', parsed.error);
  if (parsed.data.gpus > 0) throw new JobFailure('no_gpu');
  return parsed.data;
}

/** Where a desktop stands: the same for every delivery of its start on one host. Also its volume's name. */
export const desktopName = (fleet: string, host: string, containerId: string): string =>
  `ww-${fleet}-${host}-${containerId}`;

export type Place = { fleet: string; host: string; containerId: string; fence: number };

/**
 * A desktop without rights: read-only root, no capabilities, nothing gained by setuid, its own user, bounded memory,
 * CPUs and processes, no swap, no log on the host's disk, and no network unless it asked for the filtered one. The
 * socket's directory is a 1 MB memory file system, so that what writes there can't fill the host.
 */
export function createOptions(
  spec: ContainerSpec,
  place: Place,
  egressNetwork: string | undefined,
): ContainerCreateOptions {
  if (spec.network === 'egress' && !egressNetwork) throw new JobFailure('no_egress');
  const name = desktopName(place.fleet, place.host, place.containerId);
  const labels = {
    [LABELS.fleet]: place.fleet,
    [LABELS.host]: place.host,
    [LABELS.container]: place.containerId,
    [LABELS.fence]: String(place.fence),
  };
  const memory = spec.memoryMb * MIB;
  return {
    name,
    Image: spec.image,
    Hostname: 'desktop',
    User: USER,
    Labels: labels,
    Env: [
      ...Object.entries(spec.env).map(([key, value]) => `${key}=${value}`),
      `SCREEN_WIDTH=${spec.width}`,
      `SCREEN_HEIGHT=${spec.height}`,
    ],
    HostConfig: {
      ReadonlyRootfs: true,
      CapDrop: ['ALL'],
      SecurityOpt: ['no-new-privileges'],
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
        '/home/user': 'rw,nosuid,nodev,mode=0700,uid=1000,gid=1000,size=128m',
      },
      Mounts: [
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
                o: 'size=1m,uid=1000,gid=1000,mode=0700,nosuid,nodev,noexec',
              },
            },
          },
        },
      ],
    },
  };
}
