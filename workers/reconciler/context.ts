import type { Ledger } from '@warmwind/shared/engine/node/ledger';
import type { Records } from '@warmwind/shared/engine/node/records';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import type { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import type { Skip } from '../skip.ts';

/**
 * The kinds of corrections. `reenqueued`: a run that was missing in its queue was added. `restored`: a record
 * that Redis had lost was written. `closed`: an end that one side lacked was recorded there. `recorded`: the
 * ledger received a record.
 */
type Reconciled = 'reenqueued' | 'restored' | 'closed' | 'recorded';
export type ReconciledCounts = Record<Reconciled, number>;

export type ReconcilerOptions = {
  /** The queue Redis. */
  redis: Redis;
  ledger: Ledger;
  /** The records, with the same ledger. */
  records: Records;
  /** Returns a queue by its name. */
  queue: (name: string) => Queue;
  log: Logger;
  /**
   * The least age of a record that is reconciled, ms: the changes of a younger one may still be on their way.
   */
  afterMs: number;
  onReconciled?: (what: Reconciled) => void;
  /** Receives a record that can't be read. It is left alone and the pass continues. */
  skip: Skip;
};

/** The state that the steps of one pass share. */
export type ReconcileContext = Omit<ReconcilerOptions, 'onReconciled'> & {
  /** Rows and runs that were created or finished after this are left alone, ms since 1970. */
  until: number;
  signal: AbortSignal;
  count: (what: Reconciled) => void;
};
