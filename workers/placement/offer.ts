import type { Capacity, Draining, HostResources } from '@warmwind/shared/contract/resources';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import type { Engine } from '../containers/engine.ts';

/** The most images that a host publishes. One with more publishes none, and is asked for each. */
const MAX_IMAGES = 500;

export type OfferOptions = {
  engine: Engine;
  /** The total for desktops, but for GPUs. */
  capacity: Omit<Capacity, 'gpus'>;
  /** The ids of the GPUs for desktops; `undefined` until they have been read. */
  gpuIds: () => string[] | undefined;
  /** The release of this worker. */
  version: string;
  log: Logger;
};

/** The resources that this host offers to desktops, and whether it takes new ones. */
export class Offer {
  readonly #o: OfferOptions;
  #images: string[] | undefined;
  #gpuIds: string[] = [];
  /** Set while an operator drains this host. */
  draining: Draining | undefined;

  constructor(options: OfferOptions) {
    this.#o = options;
  }

  /**
   * As every host may rely on it. `undefined` also until the GPUs have been read: a start that needs some waits
   * for that.
   */
  get published(): HostResources | undefined {
    return this.#o.gpuIds() && this.resources;
  }

  /** `undefined` until its engine has reported its machine. Without GPUs until they have been read. */
  get resources(): HostResources | undefined {
    const { engine, capacity, version } = this.#o;
    if (engine.machine === undefined) return undefined;
    // A card that does not answer for a moment stays offered.
    const gpuIds = this.#o.gpuIds() ?? [];
    if (gpuIds.length > 0) this.#gpuIds = gpuIds;
    return {
      machine: engine.machine,
      capacity: { ...capacity, gpus: this.#gpuIds.length },
      ...(engine.cpus === undefined ? {} : { machineCpus: engine.cpus }),
      gpuIds: this.#gpuIds,
      ...(this.#images ? { images: this.#images } : {}),
      versions: { worker: version, engine: engine.version ?? 'unknown' },
      draining: this.draining !== undefined,
    };
  }

  /** Reads the images of the engine again. Never rejects: without an answer, the images are unknown. */
  async refresh(): Promise<void> {
    const images = await this.#o.engine.images.list().catch((err: unknown) => {
      this.#o.log.debug({ err }, 'images of the engine not read: the next sweep retries');
      return undefined;
    });
    this.#images = images && images.length <= MAX_IMAGES ? images : undefined;
  }
}
