import { createsContainers } from '@warmwind/shared/contract/registry';
import type { Cancelled } from '@warmwind/shared/engine/records';
import { type ContainerRef, containersOf } from '@warmwind/shared/engine/refs';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import type { Leader } from '../leader/leader.ts';
import type { Lease } from '../leader/lease.ts';
import type { JobWorker } from '../runtime/worker.ts';
import type { CancellationFollowUp } from './follow-up.ts';

export type OnCancelledOptions = {
  workers: JobWorker[];
  /** The name of this process's host. */
  hostName: string;
  /** Held while this process may act for its host. */
  hostLease: Lease;
  endContainer: (ref: ContainerRef, hostName: string) => Promise<void>;
  /** Only the leader follows up. */
  leader: Leader;
  followUp: CancellationFollowUp;
  log: Logger;
};

/**
 * Creates the response of a process to a cancelled run. Aborts the run if it is active here, follows it up if
 * this process leads, and ends the containers that the run was creating on this host.
 */
export function createOnCancelled(options: OnCancelledOptions): (cancelled: Cancelled) => void {
  const { workers, hostName, hostLease, endContainer, leader, followUp, log } = options;
  return (cancelled) => {
    for (const worker of workers) worker.cancel(cancelled);
    if (leader.leads) void followUp.follow(cancelled);
    if (!createsContainers(cancelled.kind) || !hostLease.held) return;
    for (const container of containersOf(cancelled)) {
      endContainer(container, hostName).catch((error: unknown) =>
        log.warn(
          { jobId: cancelled.jobId, err: error },
          'container of a cancelled start not ended: the follow-up retries',
        ),
      );
    }
  };
}
