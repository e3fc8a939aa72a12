import type { Records, RunStatus } from '@warmwind/shared/engine/node/records';
import type { JobData } from '@warmwind/shared/engine/queues';
import type { Cancelled } from '@warmwind/shared/engine/records';
import type { Delivery } from './delivery.ts';
import type { AbortReason } from './outcome.ts';

/** The active deliveries of one worker. Aborts them on cancellation, lost locks and shutdown. */
export class ActiveDeliveries {
  readonly #deliveries = new Set<Delivery>();
  readonly #whenEmpty: (() => void)[] = [];

  get size(): number {
    return this.#deliveries.size;
  }

  /** @returns a function that removes the delivery */
  add(delivery: Delivery): () => void {
    this.#deliveries.add(delivery);
    return () => {
      this.#deliveries.delete(delivery);
      if (this.size === 0) for (const resolve of this.#whenEmpty.splice(0)) resolve();
    };
  }

  /** Aborts a cancelled run if it is active here. */
  cancel({ userId, jobId, run }: Pick<Cancelled, 'userId' | 'jobId' | 'run'>): void {
    this.#abort('cancelled', ({ data }) => {
      return data?.jobId === jobId && data.run === run && data.userId === userId;
    });
  }

  /**
   * Aborts the jobs whose locks BullMQ lost: another worker has taken them or will.
   * @param ids BullMQ's ids
   */
  abortUnlocked(ids: string[]): void {
    this.#abort('lock-lost', ({ job }) => ids.includes(job.id ?? ''));
  }

  /** Aborts all deliveries, because peers run their jobs. Resolves when they have ended. */
  async dropAll(): Promise<void> {
    this.#abort('lock-lost', () => true);
    if (this.size > 0) await new Promise<void>((resolve) => this.#whenEmpty.push(resolve));
  }

  shutDown(): void {
    this.#abort('shutdown', () => true);
  }

  /**
   * Compares the claimed runs with their records. Aborts those that were cancelled or that another worker
   * claimed.
   */
  async checkRecords(records: Records): Promise<void> {
    const claimed = [...this.#deliveries].flatMap(({ data, fence, abort }) =>
      data && fence !== undefined && !abort.signal.aborted ? [{ data, fence, abort }] : [],
    );
    if (claimed.length === 0) return;
    const statuses = await records.jobs.statuses(claimed.map(({ data }) => data));
    for (const [i, { data, fence, abort }] of claimed.entries()) {
      const reason = abortReason(data, fence, statuses[i]);
      if (reason) abort.abort(reason);
    }
  }

  #abort(reason: AbortReason, concerns: (delivery: Delivery) => boolean): void {
    for (const delivery of this.#deliveries) {
      if (concerns(delivery)) delivery.abort.abort(reason);
    }
  }
}

/** The reason why a claimed run must stop; `undefined` when it may continue. */
function abortReason(data: JobData, fence: number, now: RunStatus | undefined): AbortReason | undefined {
  if (!now) return undefined;
  if (now.run === data.run && now.state === 'cancelled') return 'cancelled';
  if (now.run > data.run || now.fence > fence) return 'lock-lost';
  return undefined;
}
