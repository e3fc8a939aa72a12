import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import type { MountSettings } from 'dockerode';

/** How many terminals a desktop may have open. */
export const MAX_TERMINALS = 30;
const LIMITS = '/proc/sys/kernel/pty';

/**
 * A desktop's terminals. The kernel counts those of all containers together (`kernel.pty.max`), and the engine bounds none
 * of them; a file system of terminals that is mounted as a volume has a bound of its own. Without a name it goes with its
 * container.
 */
export const TERMINALS: MountSettings = {
  Type: 'volume',
  Source: '',
  Target: '/dev/pts',
  VolumeOptions: {
    NoCopy: true,
    Labels: {},
    DriverConfig: {
      Name: 'local',
      Options: {
        type: 'devpts',
        device: 'devpts',
        o: `max=${MAX_TERMINALS},ptmxmode=0666,mode=0620,gid=5,nosuid,noexec`,
      },
    },
  },
};

/**
 * Warns when the kernel has fewer terminals than this machine's desktops may open.
 *
 * @param folder the kernel's limits; where there are none, nothing is known
 */
export async function checkTerminals(desktops: number, log: Logger, folder = LIMITS): Promise<void> {
  const read = async (name: string) => Number(await readFile(join(folder, name), 'utf8'));
  try {
    const [max, reserve] = await Promise.all([read('max'), read('reserve')]);
    const needed = desktops * MAX_TERMINALS + reserve;
    if (max >= needed) return;
    log.warn({ max, needed }, 'desktops may use up the terminals of this machine: raise kernel.pty.max');
  } catch (error) {
    log.debug({ err: error }, 'the limit of terminals is not known');
  }
}
