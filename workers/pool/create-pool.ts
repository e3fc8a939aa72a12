import type { Config } from '../config.ts';
import type { DesktopHost } from '../containers/host.ts';
import { sizesByImage } from './sizes.ts';
import { WarmPool } from './warm-pool.ts';

type Parts = Pick<DesktopHost, 'engine' | 'admission' | 'starting' | 'queue' | 'metrics' | 'log'>;

/** Creates the warm pool of a host. Starts that wait for a worker, or for room, come first. */
export function createPool(config: Config, { starting, queue, ...parts }: Parts): WarmPool {
  const { admission } = parts;
  const startsWait = async () => {
    if (await admission.startsWait()) return 'for_room';
    if (starting.size > 0) return 'for_a_worker';
    const { waiting = 0, prioritized = 0 } = await queue('containers').getJobCounts('waiting', 'prioritized');
    return waiting + prioritized > 0 ? 'for_a_worker' : undefined;
  };
  const sizes = sizesByImage(config.WARM_POOL, config.DESKTOP_IMAGES);
  const isDraining = () => admission.resources?.draining === true;
  const pool = new WarmPool({ ...parts, sizes, startsWait, isDraining });
  admission.makeRoom = () => pool.evict();
  return pool;
}
