import { presentVolumes, recordVolumesRemoved } from '@warmwind/shared/engine/ledger/volumes';
import { type Ledger, LedgerUnavailableError } from '@warmwind/shared/engine/node/ledger';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import type { FoundVolume } from './found.ts';

/** A volume is recorded before it is created: a record younger than this, ms, may have no volume yet. */
const CREATE_GRACE_MS = 60_000;

export type VolumesOptions = { ledger: Ledger | undefined; host: string; log: Logger };

/** Maintains the ledger's records of the volumes of this host. Does nothing without a ledger. */
export class Volumes {
  readonly #o: VolumesOptions;

  constructor(options: VolumesOptions) {
    this.#o = options;
  }

  /** Records that a volume is removed. If that fails, the sweep retries it. Never rejects. */
  async removed(id: string): Promise<void> {
    const { ledger, host, log } = this.#o;
    if (id === '') return;
    await ledger
      ?.run((db) => recordVolumesRemoved(db, host, [id], new Date()))
      .catch((err: unknown) =>
        log.debug({ err, volume: id }, 'removal of a volume not recorded: the sweep retries'),
      );
  }

  /**
   * Reconciles the records with the engine: marks recorded volumes that no longer exist as removed.
   * @param listedAt the time of the engine's list, ms since 1970
   * @returns ids of the volumes that belong to no container and must stay; `unavailable` when the ledger is
   * unavailable
   */
  async reconcile(found: FoundVolume[], listedAt: number): Promise<ReadonlySet<string> | 'unavailable'> {
    const { ledger, host, log } = this.#o;
    if (!ledger) return new Set();
    try {
      const rows = await ledger.run((db) => presentVolumes(db, host));
      const present = new Set(found.map(({ instanceId }) => instanceId));
      const gone = rows.filter(
        ({ id, createdAt }) => !present.has(id) && createdAt.getTime() < listedAt - CREATE_GRACE_MS,
      );
      const ids = gone.map(({ id }) => id);
      await ledger.run((db) => recordVolumesRemoved(db, host, ids, new Date()));
      if (ids.length > 0) log.info({ volumes: ids }, 'swept: recorded volumes no longer exist');
      return new Set(rows.flatMap(({ id, containerId }) => (containerId === '' ? [id] : [])));
    } catch (error) {
      if (error instanceof LedgerUnavailableError) return 'unavailable';
      throw error;
    }
  }
}
