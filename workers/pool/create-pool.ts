import type { Config } from '../config.ts';
import type { DesktopHost } from '../containers/host.ts';
import { sizesByImage } from './sizes.ts';
import { WarmPool } from './warm-pool.ts';

type Parts = Pick<DesktopHost, 'engine' | 'admission' | 'starting' | 'queue' | 'metrics' | 'log'>;

/** Creates the warm pool of a host. Starts that wait for a worker come first. */
export function createPool(config: Config, { starting, queue, ...parts }: Parts): WarmPool {
  const startsWait = async () => {
    if (starting.size > 0) return 'for_a_worker';
    const { waiting = 0, prioritized = 0 } = await queue('containers').getJobCounts('waiting', 'prioritized');
    return waiting + prioritized > 0 ? 'for_a_worker' : undefined;
  };
  return new WarmPool({ ...parts, sizes: sizesByImage(config.WARM_POOL, config.DESKTOP_IMAGES), startsWait });
}
