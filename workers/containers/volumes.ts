import { presentVolumes, recordVolumesRemoved } from '@warmwind/shared/engine/ledger/volumes';
import { type Ledger, LedgerUnavailableError } from '@warmwind/shared/engine/node/ledger';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import type { FoundVolume } from './engine.ts';

/** A volume is recorded before it is made: one that is younger than this, ms, may be on its way. */
const MADE_WITHIN_MS = 60_000;

export type VolumesOptions = { ledger: Ledger | undefined; host: string; log: Logger };

/** The ledger's records of the volumes of this host; without a ledger there are none. */
export class Volumes {
  readonly #o: VolumesOptions;

  constructor(options: VolumesOptions) {
    this.#o = options;
  }

  /** Records that a volume is removed; should that fail, the sweep does it. Never rejects. */
  async removed(id: string): Promise<void> {
    const { ledger, host, log } = this.#o;
    if (id === '') return;
    await ledger
      ?.run((db) => recordVolumesRemoved(db, host, [id], new Date()))
      .catch((err: unknown) => log.debug({ err, volume: id }, 'its removal is recorded by the sweep'));
  }

  /**
   * Compares the records with what the engine has: a volume that is recorded and not there is removed.
   * @param listedAt when the engine was asked, ms
   * @returns ids of those that belong to no container and stay for that; `away` when the ledger could not be asked
   */
  async agree(found: FoundVolume[], listedAt: number): Promise<ReadonlySet<string> | 'away'> {
    const { ledger, host, log } = this.#o;
    if (!ledger) return new Set();
    try {
      const rows = await ledger.run((db) => presentVolumes(db, host));
      const there = new Set(found.map(({ instanceId }) => instanceId));
      const gone = rows.filter(
        ({ id, createdAt }) => !there.has(id) && createdAt.getTime() < listedAt - MADE_WITHIN_MS,
      );
      const ids = gone.map(({ id }) => id);
      await ledger.run((db) => recordVolumesRemoved(db, host, ids, new Date()));
      if (ids.length > 0) log.info({ volumes: ids }, 'swept: volumes that are gone');
      return new Set(rows.flatMap(({ id, containerId }) => (containerId === '' ? [id] : [])));
    } catch (error) {
      if (error instanceof LedgerUnavailableError) return 'away';
      throw error;
    }
  }
}
