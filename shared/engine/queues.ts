import type { Lane } from '../contract/command.ts';
import type { JobKind } from '../contract/registry.ts';

/**
 * Queues that any worker may serve: placements of desktops, requests to models, images to read, webhooks to
 * deliver, maintenance.
 */
export const QUEUES = ['containers', 'ai-inference', 'ai-readings', 'webhooks', 'cleanup'] as const;
export type QueueName = (typeof QUEUES)[number];

/** The queues that hold runs of users' jobs. */
export const JOB_QUEUES = ['containers', 'ai-inference', 'ai-readings'] as const satisfies QueueName[];

/**
 * The queue of each lane. Once a host has a job's container, the job waits in a queue of that host instead:
 * one of `hostQueues`, by its `suffix`. No lane takes slots from another: readings take a CPU, other models wait
 * for their servers, and a control command never waits behind work or programs.
 */
export const LANES = {
  placements: { queue: 'containers' },
  control: { queue: 'containers', suffix: '' },
  work: { queue: 'containers', suffix: '.work' },
  programs: { queue: 'containers', suffix: '.programs' },
  models: { queue: 'ai-inference' },
  readings: { queue: 'ai-readings' },
} as const satisfies Record<Lane, { queue: QueueName; suffix?: string }>;

/** The prefix of every host's queues. */
export const HOST_QUEUES = 'containers-';
/** Control commands to the containers of one host. */
export const hostQueue = (host: string): string => `${HOST_QUEUES}${host}${LANES.control.suffix}`;
/** Other work on the containers of one host. */
export const hostWorkQueue = (host: string): string => `${HOST_QUEUES}${host}${LANES.work.suffix}`;
/** Programs that run in the containers of one host. */
export const hostProgramsQueue = (host: string): string => `${HOST_QUEUES}${host}${LANES.programs.suffix}`;
export const hostQueues = (host: string): string[] => [
  hostQueue(host),
  hostWorkQueue(host),
  hostProgramsQueue(host),
];
/**
 * The host that a queue belongs to; `undefined` for one that any worker may serve. Names of hosts have no
 * dot.
 */
export const hostOfQueue = (queue: string): string | undefined =>
  queue.startsWith(HOST_QUEUES) ? queue.slice(HOST_QUEUES.length).split('.')[0] : undefined;

/**
 * BullMQ's options for every run: three attempts, 2 s and 4 s apart with jitter, and a bounded number of ended
 * entries.
 */
export const JOB_OPTIONS = {
  attempts: 3,
  backoff: { type: 'exponential', delay: 2000, jitter: 0.25 },
  removeOnComplete: { age: 3600, count: 1000 },
  removeOnFail: { age: 86_400 },
};

/**
 * How long one attempt may take unless its job sets a time-out, ms. BullMQ has no time-out: the worker
 * enforces it.
 */
export const ATTEMPT_TIMEOUT_MS = 300_000;

/** Waiting (with prioritized and delayed) jobs above which a queue reports backpressure. */
export const BACKPRESSURE_ABOVE = 100;
/** Waiting (with prioritized and delayed) jobs from which on a queue takes no more submissions. */
export const MAX_WAITING = 10_000;

/**
 * How urgent a job is among its owner's equals: premium models before all others. Fairness comes first: a
 * run's priority in its queue is `10 × (outstanding jobs of its owner before it) + class`, so that the first
 * jobs of all users go before any user's second. BullMQ takes the lowest first; 0 (stops) goes before all.
 */
export const PRIORITY_CLASS = { premium: 1, other: 5 } as const;
export type PriorityClass = (typeof PRIORITY_CLASS)[keyof typeof PRIORITY_CLASS];

/**
 * The version of `JobData` that this code writes. A worker requeues a newer one and upgrades an older one.
 */
export const JOB_DATA_VERSION = 1;

/** The data of every BullMQ job; all else is in the job's record. */
export type JobData = {
  version: number;
  kind: JobKind;
  userId: string;
  jobId: string;
  run: number;
  /** The container that it is about or creates; '' for work without one. */
  containerId: string;
  /** All that it creates, when they are several. */
  containerIds?: string[];
  /** The request that submitted the run, for logs. */
  requestId: string;
};

/** The BullMQ id of one run: unique, without `:`, the same whenever the same run is added again. */
export const queueJobId = (jobId: string, run: number): string => (run === 1 ? jobId : `${jobId}.${run}`);

/** BullMQ's options for one run. */
export const runOptions = ({ jobId, run, priority }: { jobId: string; run: number; priority: number }) => ({
  ...JOB_OPTIONS,
  jobId: queueJobId(jobId, run),
  ...(priority > 0 ? { priority } : {}),
});
