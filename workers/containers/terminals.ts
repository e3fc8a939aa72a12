import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import type { MountSettings } from 'dockerode';

/** The number of terminals that a desktop may have open. */
export const MAX_TERMINALS = 30;
const LIMITS = '/proc/sys/kernel/pty';

/**
 * The mount of a desktop's terminals. The kernel counts those of all containers together (`kernel.pty.max`),
 * and the engine bounds none of them. A file system of terminals that is mounted as a volume has a bound of
 * its own. The volume has a name, by which the sweep finds it when a killed engine has lost its labels.
 */
export const terminalsOf = (name: string, labels: Record<string, string>): MountSettings => ({
  Type: 'volume',
  Source: name,
  Target: '/dev/pts',
  VolumeOptions: {
    NoCopy: true,
    Labels: labels,
    DriverConfig: {
      Name: 'local',
      Options: {
        type: 'devpts',
        device: 'devpts',
        o: `max=${MAX_TERMINALS},ptmxmode=0666,mode=0620,gid=5,nosuid,noexec`,
      },
    },
  },
});

/**
 * Warns when the kernel has fewer terminals than this machine's desktops may open.
 *
 * @param folder the kernel's limits; without them no check is made
 */
export async function checkTerminals(desktops: number, log: Logger, folder = LIMITS): Promise<void> {
  const read = async (name: string) => Number(await readFile(join(folder, name), 'utf8'));
  try {
    const [max, reserve] = await Promise.all([read('max'), read('reserve')]);
    const needed = desktops * MAX_TERMINALS + reserve;
    if (max >= needed) return;
    log.warn(
      { max, needed },
      'the kernel has too few terminals for the desktops of this machine: raise kernel.pty.max',
    );
  } catch (error) {
    log.debug({ err: error }, 'the limit of terminals is unknown');
  }
}
