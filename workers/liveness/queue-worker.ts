import { newId } from '@warmwind/shared/contract/ids';
import { type Processor, Worker, type WorkerOptions } from 'bullmq';

/** The start of every lock token of a process: see {@link QueueWorker}. */
export const tokenPrefix = (boot: string): string => `${boot}.`;

/**
 * A BullMQ worker whose locks name the process that holds them. BullMQ begins a lock's token with the id of
 * its worker.
 */
export class QueueWorker extends Worker {
  override readonly id: string;

  /** @param boot the boot id of this process */
  constructor(boot: string, queue: string, processor: Processor, options: WorkerOptions) {
    super(queue, processor, { ...options, autorun: false });
    this.id = `${tokenPrefix(boot)}${newId()}`;
  }
}
