import type { JobKind } from '@warmwind/shared/contract/jobs';
import { keys } from '@warmwind/shared/engine/keys';
import type { JobData } from '@warmwind/shared/engine/queues';
import type { Cancelled } from '@warmwind/shared/engine/records';
import { Slots } from '@warmwind/shared/runtime/slots';
import type { Job, Processor, Queue, RateLimiterOptions } from 'bullmq';
import type { Redis } from 'ioredis';
import { QueueWorker } from '../liveness/queue-worker.ts';
import { loop } from '../loop.ts';
import { ActiveDeliveries } from './active-deliveries.ts';
import { readAnyJobData } from './data.ts';
import { type Delivery, type Handler, Runtime, type RuntimeDeps } from './delivery.ts';
import { ParkedJobs } from './parked.ts';
import { Turns } from './turns.ts';

/** The interval at which a worker checks the records of its own runs, ms. */
const CHECK_EVERY_MS = 1000;
/** The longest wait of a worker for a turn of the limiter before it looks for a released one, ms. */
const TURN_CHECK_MS = 1000;
/** A worker with a free slot that starts no job for this long while jobs wait has gone silent, ms. */
const SILENT_AFTER_MS = 30_000;

/** How many deaths of its workers a job survives. One that dies with more is poison: BullMQ fails it. */
export const MAX_DEATHS = 5;

export type JobWorkerDeps = RuntimeDeps & {
  /** The boot id of this process. */
  boot: string;
  /** A queueing connection to the queue Redis. */
  redis: Redis;
  /** Returns a queue by its name. */
  queue: (name: string) => Queue;
};

export type JobWorkerOptions = {
  queue: string;
  /** Jobs at a time. Each user has a share of these slots: see `Slots`. */
  concurrency: number;
  /**
   * Whether a shutdown requeues the active jobs for peers. Without it the shutdown waits for their ends: a
   * host's own queue has no peer.
   */
  requeuesAtShutdown: boolean;
  /** The rate at which the fleet begins jobs: `max` starts in `duration` ms. */
  limiter?: RateLimiterOptions;
  /** The time-out of an attempt whose job has none of its own. */
  attemptTimeoutMs?: number;
  /** The upper bound of every attempt's time-out. */
  maxAttemptTimeoutMs?: number;
  /** The life of a job's lock without a renewal. */
  lockMs?: number;
  /** The interval of the check for jobs whose lock has expired. */
  stalledEveryMs?: number;
  silentAfterMs?: number;
  /**
   * Decides about a job that was requeued before: whether to delay it again, ms, without taking it. Must not
   * reject.
   */
  deferral?: (data: JobData, queuedAt: number) => Promise<number | undefined>;
  /** Runs when a job was delayed so. Must not reject. */
  onDeferred?: () => Promise<void>;
};

/** Runs the jobs of one queue and tracks the active ones. */
export class JobWorker {
  readonly #deps: JobWorkerDeps;
  readonly #options: JobWorkerOptions;
  readonly #runtime: Runtime;
  readonly #active = new ActiveDeliveries();
  readonly #slots: Slots;
  readonly #parked: ParkedJobs;
  /** Defined when the queue has a limiter. */
  readonly #turns: Turns | undefined;
  #worker: QueueWorker;
  /** Replaced silent workers. Each closes once its remaining jobs have ended. */
  readonly #retired: Promise<void>[] = [];
  #silentSince: number | undefined;
  #closing: Promise<unknown> | undefined;
  readonly #stopped = new AbortController();
  #checks: Promise<void> | undefined;

  constructor(deps: JobWorkerDeps, options: JobWorkerOptions, handlers: Record<JobKind, Handler>) {
    this.#deps = deps;
    this.#options = options;
    const { attemptTimeoutMs: usualMs, maxAttemptTimeoutMs: longestMs } = options;
    this.#runtime = new Runtime(deps, handlers, { usualMs, longestMs });
    this.#slots = new Slots(options.concurrency);
    this.#parked = new ParkedJobs(deps.queue(options.queue));
    this.#turns = options.limiter && new Turns(deps.redis, options.queue, options.limiter);
    this.#worker = this.#create();
  }

  /** Starts or resumes taking jobs. */
  run(): void {
    if (this.#closing) return;
    this.#checks ??= loop(
      `runs of ${this.#options.queue}`,
      this.#deps.log,
      this.#stopped.signal,
      async () => {
        await this.#active.checkRecords(this.#deps.records);
        await this.#replaceIfSilent();
        return CHECK_EVERY_MS;
      },
    );
    if (this.#worker.isPaused()) void this.#worker.resume();
    else if (!this.#worker.isRunning()) {
      this.#worker.run().catch((error: unknown) => this.#worker.emit('error', error as Error));
    }
  }

  /** Takes no more jobs until `run`; active jobs continue. */
  pause(): void {
    void this.#worker.pause(true);
  }

  /**
   * Aborts the active jobs, because peers run them, and takes no more until `run`. Resolves when they have
   * ended.
   */
  drop(): Promise<void> {
    this.pause();
    return this.#active.dropAll();
  }

  /** Aborts a cancelled run if it is active in this worker. */
  cancel(cancelled: Pick<Cancelled, 'userId' | 'jobId' | 'run'>): void {
    this.#active.cancel(cancelled);
  }

  /** Resolves when every active job is requeued or has ended. */
  close(): Promise<unknown> {
    if (this.#closing) return this.#closing;
    this.#stopped.abort();
    this.#closing = Promise.all([this.#worker.close(), ...this.#retired]);
    if (this.#options.requeuesAtShutdown) this.#active.shutDown();
    return this.#closing;
  }

  #create(): QueueWorker {
    const { queue, concurrency, limiter, lockMs = 10_000, stalledEveryMs = 5000 } = this.#options;
    const process: Processor = (job, token) => this.#process({ job, token: token ?? '' });
    const worker = new QueueWorker(this.#deps.boot, queue, process, {
      connection: this.#deps.redis,
      prefix: keys.bullmqPrefix(queue),
      concurrency,
      lockDuration: lockMs,
      stalledInterval: stalledEveryMs,
      // The observer records the failure.
      maxStalledCount: MAX_DEATHS,
      // BullMQ otherwise sleeps until the end of the window and misses a turn that was released in it.
      ...(limiter ? { limiter, maximumRateLimitDelay: TURN_CHECK_MS } : {}),
    });
    worker.on('error', (error) => this.#deps.log.warn({ queue, err: error }, 'queue worker'));
    // BullMQ keeps running a job whose lock it lost: without an abort the job would run twice.
    worker.on('lockRenewalFailed', (ids) => this.#active.abortUnlocked(ids));
    return worker;
  }

  async #process({ job, token }: Pick<Delivery, 'job' | 'token'>): Promise<unknown> {
    const delivery: Delivery = { job, token, abort: new AbortController() };
    this.#silentSince = undefined;
    const isClosing = this.#closing && this.#options.requeuesAtShutdown;
    // BullMQ delivers one more job after a pause, if it was waiting for one.
    if (isClosing || this.#worker.isPaused()) return this.#runtime.requeue(delivery);
    const user = userOf(job);
    const release = this.#slots.take(user);
    if (!release) return this.#park(delivery, user);
    this.#parked.remove(user, job.id ?? '');
    const remove = this.#active.add(delivery);
    try {
      const waitMs = (await this.#turns?.take(user)) ?? 0;
      if (waitMs > 0) return await this.#runtime.requeue(delivery, waitMs);
      const deferMs = await this.#deferral(job);
      if (deferMs !== undefined) {
        return await this.#runtime.requeue(delivery, deferMs).finally(() => this.#options.onDeferred?.());
      }
      return await this.#runtime.deliver(delivery);
    } finally {
      remove();
      release();
      void this.#parked.promote((parked) => this.#slots.admits(parked));
    }
  }

  async #deferral(job: Job): Promise<number | undefined> {
    if (!this.#options.deferral || job.attemptsStarted <= 1) return undefined;
    const data = readAnyJobData(job.data);
    return data && this.#options.deferral(data, job.timestamp);
  }

  /** Delays a job whose user already holds their share of slots. It spends no attempt and no turn. */
  async #park(delivery: Delivery, user: string): Promise<never> {
    await this.#turns?.release(Date.now());
    try {
      return await this.#runtime.requeue(delivery, ParkedJobs.delayMs(delivery.job));
    } finally {
      this.#parked.add(user, delivery.job.id ?? '');
      void this.#parked.promote((parked) => this.#slots.admits(parked));
    }
  }

  /** Replaces a BullMQ worker that takes no more jobs, as some do after a lost connection. */
  async #replaceIfSilent(): Promise<void> {
    const { queue: name, concurrency, silentAfterMs = SILENT_AFTER_MS } = this.#options;
    const { queue, log, metrics } = this.#deps;
    const due =
      !this.#worker.isPaused() &&
      this.#active.size < concurrency &&
      (await isDue(queue(name), this.#options));
    if (!due || this.#stopped.signal.aborted) {
      this.#silentSince = undefined;
      return;
    }
    this.#silentSince ??= Date.now();
    if (Date.now() - this.#silentSince < silentAfterMs) return;
    log.error({ queue: name }, 'queue worker takes no jobs: replaced');
    metrics.silentWorkers.inc({ queue: name });
    this.#silentSince = undefined;
    this.#retired.push(this.#worker.close().catch(() => undefined));
    this.#worker = this.#create();
    this.run();
  }
}

/** The user whose slot a job takes. Malformed data belongs to no user, and fails when it is read. */
const userOf = ({ data }: Job): string => String((data as Partial<JobData> | undefined)?.userId ?? '');

/** Whether jobs wait although the queue is neither paused nor limited. */
async function isDue(queue: Queue, { limiter }: JobWorkerOptions): Promise<boolean> {
  const { waiting = 0, prioritized = 0 } = await queue.getJobCounts('waiting', 'prioritized');
  if (waiting + prioritized === 0 || (await queue.isPaused())) return false;
  return (await queue.getRateLimitTtl(limiter?.max)) <= 0;
}
