import { statfsSync } from 'node:fs';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import type { Config } from '../config.ts';
import type { Engine } from '../containers/engine.ts';
import type { Gpus } from '../gpu/nvidia.ts';
import { VERSION } from '../version.ts';
import { Offer } from './offer.ts';

/** Creates the offer of this host, by its settings. */
export function createOffer(
  { config, gpus, log }: { config: Config; gpus: Pick<Gpus, 'all' | 'wereRead'>; log: Logger },
  engine: Engine,
): Offer {
  const capacity = {
    memoryMb: config.HOST_MEMORY_MB,
    cpus: config.HOST_CPUS,
    diskMb: config.HOST_DISK_MB || diskMb(config.DATA_DIR),
    containers: config.HOST_DESKTOPS,
  };
  const { HOST_GPUS: offered } = config;
  const gpuIds = () => {
    if (offered !== 'all') return offered;
    return gpus.wereRead ? gpus.all.map(({ uuid }) => uuid) : undefined;
  };
  return new Offer({ engine, capacity, gpuIds, version: VERSION, log });
}

/** Seven eighths of the disk that holds a path, MB; 0 when it can't be read. */
function diskMb(path: string): number {
  try {
    const { blocks, bsize } = statfsSync(path);
    return Math.floor((blocks * bsize * 7) / 8 / 2 ** 20);
  } catch {
    return 0;
  }
}
