import type { Redis } from 'ioredis';
import { ContainerRecords } from './container-records.ts';
import { JobEvents } from './job-events.ts';
import { JobRecords, type Notify } from './job-records.ts';
import type { Ledger } from './ledger.ts';
import type { Publisher } from './publisher.ts';
import { RecordStore } from './store.ts';
import { UnpublishedEnds } from './unpublished.ts';

export type * from './container-records.ts';
export type * from './ended-runs.ts';
export type * from './job-reader.ts';
export type * from './job-records.ts';
export type * from './run-status.ts';

/**
 * The one module that records the states of jobs and desktops: first the record in the queue Redis, by a
 * script that refuses stale writers and keeps the change for the ledger in the same step; then its event. A
 * record that Redis has lost is restored from the ledger before any decision without it; while the ledger is
 * unavailable such a call rejects with `LedgerUnavailableError`.
 */
export class Records {
  readonly jobs: JobRecords;
  readonly containers: ContainerRecords;
  readonly unpublished: UnpublishedEnds;

  /**
   * @param redis the queue Redis, a queueing connection for workers
   * @param notify called when a run is taken, and when it ends
   */
  constructor(redis: Redis, publisher: Publisher, ledger?: Ledger, notify: Notify = async () => {}) {
    const store = new RecordStore(redis, ledger);
    const events = new JobEvents(publisher);
    this.unpublished = new UnpublishedEnds(redis);
    this.jobs = new JobRecords(store, events, this.unpublished, notify);
    this.containers = new ContainerRecords(store, events, this.unpublished);
  }
}
