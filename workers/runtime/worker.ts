import type { JobKind } from '@warmwind/shared/contract/jobs';
import { keys } from '@warmwind/shared/engine/keys';
import type { JobData } from '@warmwind/shared/engine/queues';
import type { Cancelled } from '@warmwind/shared/engine/records';
import { Slots } from '@warmwind/shared/runtime/slots';
import { type Job, type Queue, type RateLimiterOptions, Worker } from 'bullmq';
import type { Redis } from 'ioredis';
import { loop } from '../loop.ts';
import { ActiveDeliveries } from './active-deliveries.ts';
import { type Delivery, type Handler, Runtime, type RuntimeDeps } from './delivery.ts';
import { ParkedJobs } from './parked.ts';
import { Turns } from './turns.ts';

/** How often a worker looks at where its own runs stand, ms. */
const LOOK_EVERY_MS = 1000;
/** How often a worker whose fleet has no turn left looks for one that was given back, ms. */
const TURNS_LOOK_MS = 1000;
/** A worker with a free place, beside which jobs wait this long while it starts none, has gone silent, ms. */
const SILENT_AFTER_MS = 30_000;

export type JobWorkerDeps = RuntimeDeps & {
  /** A patient connection to the queue Redis. */
  redis: Redis;
  /** A queue by its name. */
  queue: (name: string) => Queue;
};

export type JobWorkerOptions = {
  queue: string;
  /** Jobs at a time. Each user has a share of these slots: see `Slots`. */
  concurrency: number;
  /** At shutdown active jobs go back to peers; without it they are waited for (a host's own queue has no peer). */
  handsBack: boolean;
  /** How many starts in how many ms, of the whole fleet. */
  limiter?: RateLimiterOptions;
  /** How long an attempt may take whose job says nothing else, and how long any attempt may take, whatever its job says. */
  attemptTimeoutMs?: number;
  maxAttemptTimeoutMs?: number;
  /** How long a job stays a worker's own without a sign of it, and how often others look, ms. */
  lockMs?: number;
  stalledEveryMs?: number;
  silentAfterMs?: number;
};

/** Takes the jobs of one queue, and keeps track of those it has. */
export class JobWorker {
  readonly #deps: JobWorkerDeps;
  readonly #options: JobWorkerOptions;
  readonly #runtime: Runtime;
  readonly #active = new ActiveDeliveries();
  readonly #slots: Slots;
  readonly #parked: ParkedJobs;
  /** Where the queue has a limiter. */
  readonly #turns: Turns | undefined;
  #worker: Worker;
  /** Silent ones that were replaced, and end when the jobs they still have do. */
  readonly #retired: Promise<void>[] = [];
  #silentSince: number | undefined;
  #closing: Promise<unknown> | undefined;
  readonly #stopped = new AbortController();
  #looking: Promise<void> | undefined;

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

  /** Takes jobs from now on (again). */
  run(): void {
    if (this.#closing) return;
    this.#looking ??= loop(
      `runs of ${this.#options.queue}`,
      this.#deps.log,
      this.#stopped.signal,
      async () => {
        await this.#active.checkRecords(this.#deps.records);
        await this.#watch();
        return LOOK_EVERY_MS;
      },
    );
    if (this.#worker.isPaused()) void this.#worker.resume();
    else if (!this.#worker.isRunning()) {
      this.#worker.run().catch((error: unknown) => this.#worker.emit('error', error as Error));
    }
  }

  /** Takes no more jobs until `run`; those it has go on. */
  pause(): void {
    void this.#worker.pause(true);
  }

  /** Aborts a run that was cancelled, if it is worked on here. */
  cancel(cancelled: Pick<Cancelled, 'userId' | 'jobId' | 'run'>): void {
    this.#active.cancel(cancelled);
  }

  /** Resolves when every active job has been handed back or has ended. */
  close(): Promise<unknown> {
    if (this.#closing) return this.#closing;
    this.#stopped.abort();
    this.#closing = Promise.all([this.#worker.close(), ...this.#retired]);
    if (this.#options.handsBack) this.#active.shutDown();
    return this.#closing;
  }

  #create(): Worker {
    const { queue, concurrency, limiter, lockMs = 10_000, stalledEveryMs = 5000 } = this.#options;
    const worker = new Worker(queue, (job, token) => this.#process({ job, token: token ?? '' }), {
      connection: this.#deps.redis,
      prefix: keys.bullmqPrefix(queue),
      concurrency,
      autorun: false,
      lockDuration: lockMs,
      stalledInterval: stalledEveryMs,
      // A job whose workers die under it this often is poison: BullMQ fails it and the observer records so.
      maxStalledCount: 5,
      // A turn that was given back is noticed so soon, though BullMQ has seen none left until the window's end.
      ...(limiter ? { limiter, maximumRateLimitDelay: TURNS_LOOK_MS } : {}),
    });
    worker.on('error', (error) => this.#deps.log.warn({ queue, err: error }, 'queue worker'));
    // BullMQ goes on working on a job that it lost; then it would run twice.
    worker.on('lockRenewalFailed', (ids) => this.#active.loseLocks(ids));
    return worker;
  }

  async #process({ job, token }: Pick<Delivery, 'job' | 'token'>): Promise<unknown> {
    const delivery: Delivery = { job, token, abort: new AbortController() };
    this.#silentSince = undefined;
    if (this.#closing && this.#options.handsBack) return this.#runtime.requeue(delivery);
    const user = userOf(job);
    const release = this.#slots.take(user);
    if (!release) return this.#park(delivery, user);
    this.#parked.remove(user, job.id ?? '');
    const remove = this.#active.add(delivery);
    try {
      const waitMs = (await this.#turns?.take(user)) ?? 0;
      if (waitMs > 0) return await this.#runtime.requeue(delivery, waitMs);
      return await this.#runtime.deliver(delivery);
    } finally {
      remove();
      release();
      void this.#parked.promote((parked) => this.#slots.admits(parked));
    }
  }

  /** The job's user has their share of slots: it waits, no attempt and no turn is spent, and others go on. */
  async #park(delivery: Delivery, user: string): Promise<never> {
    await this.#turns?.release(Date.now());
    try {
      return await this.#runtime.requeue(delivery, ParkedJobs.delayMs(delivery.job));
    } finally {
      this.#parked.add(user, delivery.job.id ?? '');
      void this.#parked.promote((parked) => this.#slots.admits(parked));
    }
  }

  /** BullMQ's workers have been seen to take nothing more after a lost connection: such a one is replaced. */
  async #watch(): Promise<void> {
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
    log.error({ queue: name }, 'the queue worker has gone silent: replaced');
    metrics.silentWorkers.inc({ queue: name });
    this.#silentSince = undefined;
    this.#retired.push(this.#worker.close().catch(() => undefined));
    this.#worker = this.#create();
    this.run();
  }
}

/** Whose slot a job takes. What is malformed is nobody's, and ends when it is read. */
const userOf = ({ data }: Job): string => String((data as Partial<JobData> | undefined)?.userId ?? '');

/** Jobs wait, and nothing but workers keeps them waiting. */
async function isDue(queue: Queue, { limiter }: JobWorkerOptions): Promise<boolean> {
  const { waiting = 0, prioritized = 0 } = await queue.getJobCounts('waiting', 'prioritized');
  if (waiting + prioritized === 0 || (await queue.isPaused())) return false;
  return (await queue.getRateLimitTtl(limiter?.max)) <= 0;
}
