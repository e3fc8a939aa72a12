import type { Records, RunStatus } from '@warmwind/shared/engine/node/records';
import type { JobData } from '@warmwind/shared/engine/queues';
import type { Cancelled } from '@warmwind/shared/engine/records';
import type { Delivery } from './delivery.ts';
import type { AbortReason } from './outcome.ts';

/** The deliveries under way in one worker, and every reason from outside to abort them. */
export class ActiveDeliveries {
  readonly #deliveries = new Set<Delivery>();

  get size(): number {
    return this.#deliveries.size;
  }

  /** @returns removes the delivery */
  add(delivery: Delivery): () => void {
    this.#deliveries.add(delivery);
    return () => this.#deliveries.delete(delivery);
  }

  /** Aborts a run that was cancelled, if it is under way here. */
  cancel({ userId, jobId, run }: Pick<Cancelled, 'userId' | 'jobId' | 'run'>): void {
    this.#abort('cancelled', ({ data }) => {
      return data?.jobId === jobId && data.run === run && data.userId === userId;
    });
  }

  /** Aborts the jobs whose locks BullMQ lost: another worker has them, or will. */
  loseLocks(bullJobIds: string[]): void {
    this.#abort('lock-lost', ({ job }) => bullJobIds.includes(job.id ?? ''));
  }

  shutDown(): void {
    this.#abort('shutdown', () => true);
  }

  /** Compares the claimed runs with their records: one that was cancelled, or that another worker claimed, is aborted. */
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

/** Why a claimed run must stop, if it must. */
function abortReason(data: JobData, fence: number, now: RunStatus | undefined): AbortReason | undefined {
  if (!now) return undefined;
  if (now.run === data.run && now.state === 'cancelled') return 'cancelled';
  if (now.run > data.run || now.fence > fence) return 'lock-lost';
  return undefined;
}
