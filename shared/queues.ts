import type { JobKind } from './jobs.ts';

/** Queues that any worker may serve, and the placement of desktops. */
export const QUEUES = ['containers', 'cleanup'] as const;
export type QueueName = (typeof QUEUES)[number];

/** Commands to the desktops of one host. */
export const hostQueue = (host: string): string => `containers-${host}`;

/** BullMQ's options for every submission: three attempts, 2 s, 4 s, 8 s with jitter, bounded memory of the past. */
export const JOB_OPTIONS = {
  attempts: 3,
  backoff: { type: 'exponential', delay: 2000, jitter: 0.25 },
  removeOnComplete: { age: 3600, count: 1000 },
  removeOnFail: { age: 86_400 },
};

/** How long one attempt may take, ms. BullMQ knows no time-out: the worker enforces it. */
export const ATTEMPT_TIMEOUT_MS = 300_000;

/** Waiting (with prioritized and delayed) jobs above which a queue reports backpressure. */
export const BACKPRESSURE_ABOVE = 100;

/** The version of `JobData` this code writes. A worker hands a newer one back and upgrades an older one. */
export const JOB_DATA_VERSION = 1;

/** What BullMQ carries for every job; all else is in the job's record. */
export type JobData = {
  version: number;
  kind: JobKind;
  userId: string;
  jobId: string;
  run: number;
  containerId: string;
  /** The request that submitted the job, for logs. */
  requestId: string;
};

/** The BullMQ id of one run: unique, without `:`, the same whenever the same run is added again. */
export const bullJobId = (jobId: string, run: number): string => (run === 1 ? jobId : `${jobId}.${run}`);
