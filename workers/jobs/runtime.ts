import type { JobKind } from '@warmwind/shared/jobs';
import { keys } from '@warmwind/shared/keys';
import { readLag } from '@warmwind/shared/ledger/reads';
import { type Ledger, LedgerAway } from '@warmwind/shared/node/ledger';
import type { Logger } from '@warmwind/shared/node/log';
import type { Claim, Records } from '@warmwind/shared/node/records';
import { ATTEMPT_TIMEOUT_MS, JOB_OPTIONS, type JobData } from '@warmwind/shared/queues';
import { DelayedError, type Job, UnrecoverableError, Worker } from 'bullmq';
import type { Redis } from 'ioredis';
import type { Metrics } from '../metrics.ts';
import { parseJobData } from './data.ts';
import { classify, failure } from './errors.ts';
import { type AbortReason, Cancelled, Forwarded, HandBack, reasonOf } from './outcome.ts';

/** A handler that has been told to stop gets this long, ms; then its job is settled without it. */
const ABORT_GRACE_MS = 20_000;
/** How long a job of a later version waits for a worker that can read it, ms. */
const NEWER_VERSION_DELAY_MS = 5000;
/** How long a job waits that needs the ledger while it is away, ms. */
const LEDGER_AWAY_DELAY_MS = 2000;

/** What a handler is given: one delivery of a job. */
export type JobContext = {
  data: JobData;
  /** When its run was queued, ms since 1970. */
  queuedAt: number;
  /** Aborted at the attempt's time-out, at shutdown and when the job may run elsewhere; its reason is `AbortReason`. */
  signal: AbortSignal;
  log: Logger;
  /** Would another attempt (or a peer) follow if this error ended the delivery? */
  willRetry: (error: unknown) => boolean;
  progress: (percent: number, message?: string) => Promise<void>;
  /** A piece of what the job puts out, as watchers read it while it runs. */
  output: (text: string) => Promise<void>;
};

/** Does the work of one kind. Its return value (small JSON) is the job's result; errors are told by `errors.ts`. */
export type Handler = (job: JobContext) => Promise<unknown>;

export type RuntimeDeps = {
  /** A patient connection to the queue Redis. */
  redis: Redis;
  records: Records;
  ledger: Ledger | undefined;
  metrics: Metrics;
  log: Logger;
};

export type RuntimeOptions = {
  queue: string;
  concurrency: number;
  /** At shutdown active jobs go back to peers; without it they are waited for (a host's own queue has no peer). */
  handsBack: boolean;
  attemptTimeoutMs?: number;
};

/** Runs the jobs of one queue: claims, runs, settles. A run reaches one terminal state whatever is delivered twice. */
export class JobWorker {
  readonly #deps: RuntimeDeps;
  readonly #options: RuntimeOptions;
  readonly #handlers: Record<JobKind, Handler>;
  readonly #worker: Worker;
  #closing: Promise<void> | undefined;
  /** A job had to wait for the ledger: the next start asks whether it is back before it claims. */
  #ledgerAway = false;

  constructor(deps: RuntimeDeps, options: RuntimeOptions, handlers: Record<JobKind, Handler>) {
    this.#deps = deps;
    this.#options = options;
    this.#handlers = handlers;
    const { queue, concurrency } = options;
    // BullMQ gives a signal only to a processor whose `length` is three: no default value here.
    this.#worker = new Worker(queue, (job, token, signal) => this.#process(job, token ?? '', signal), {
      connection: deps.redis,
      prefix: keys.bull(queue),
      concurrency,
      autorun: false,
      lockDuration: 10_000,
      stalledInterval: 5000,
      // A job whose workers die under it this often is poison: BullMQ fails it and the observer records so.
      maxStalledCount: 5,
    });
    this.#worker.on('error', (error) => deps.log.warn({ queue, err: error }, 'queue worker'));
    // BullMQ goes on working on a job that it lost; then it would run twice.
    this.#worker.on('lockRenewalFailed', (ids) => {
      for (const id of ids) this.#worker.cancelJob(id, 'lock-lost' satisfies AbortReason);
    });
  }

  /** Takes jobs from now on (again). */
  run(): void {
    if (this.#closing) return;
    if (this.#worker.isPaused()) void this.#worker.resume();
    else if (!this.#worker.isRunning()) {
      this.#worker.run().catch((error: unknown) => this.#worker.emit('error', error as Error));
    }
  }

  /** Takes no more jobs until `run`; those it has go on. */
  pause(): void {
    void this.#worker.pause(true);
  }

  /** Resolves when every active job has been handed back or has ended. */
  close(): Promise<void> {
    this.#closing ??= this.#worker.close();
    if (this.#options.handsBack) this.#worker.cancelAllJobs('shutdown' satisfies AbortReason);
    return this.#closing;
  }

  async #process(job: Job, token: string, signal: AbortSignal | undefined): Promise<unknown> {
    const { records, metrics } = this.#deps;
    const data = parseJobData(job.data);
    if (data === 'newer') return this.#handBack(job, token, NEWER_VERSION_DELAY_MS);
    if (data === 'invalid') throw new UnrecoverableError(failure('invalid_job').message);
    if (this.#closing && this.#options.handsBack) return this.#handBack(job, token, 0);

    const claim = await this.#claim(job, data);
    if (claim === 'later') return this.#handBack(job, token, LEDGER_AWAY_DELAY_MS);
    if (claim.verdict !== 'ok') {
      await records.tellEndAgain(data);
      return null;
    }
    const stopTimer = metrics.jobSeconds.startTimer({ kind: data.kind });
    const abort = linked(signal);
    const timer = setTimeout(
      () => abort.abort('timed-out' satisfies AbortReason),
      this.#options.attemptTimeoutMs ?? ATTEMPT_TIMEOUT_MS,
    );
    const { jobId, requestId, userId } = data;
    const log = this.#deps.log.child({ jobId, requestId, userId, kind: data.kind, run: data.run });
    const context = this.#context(job, data, claim.fence, abort.signal, log);
    try {
      const result = await withinGrace(this.#handlers[data.kind](context), abort.signal);
      const verdict = await records.endJob(
        data,
        { state: 'completed', result },
        claim.fence,
        job.attemptsMade + 1,
      );
      metrics.jobs.inc({ kind: data.kind, outcome: verdict === 'ok' ? 'completed' : verdict });
      return result ?? null;
    } catch (error) {
      return await this.#settle(job, token, data, claim.fence, error, context);
    } finally {
      clearTimeout(timer);
      stopTimer();
    }
  }

  /** → `later` when the ledger is needed and away: what would be said of such a delivery helps nobody. */
  async #claim(job: Job, data: JobData): Promise<Claim | 'later'> {
    const { records, ledger } = this.#deps;
    try {
      if (this.#ledgerAway && data.kind === 'container.start') await ledger?.run(readLag);
      const claim = await records.claimJob(data, job.attemptsMade);
      if (data.kind === 'container.start') this.#ledgerAway = false;
      return claim;
    } catch (error) {
      if (!(error instanceof LedgerAway)) throw error;
      this.#ledgerAway = true;
      return 'later';
    }
  }

  #context(job: Job, data: JobData, fence: number, signal: AbortSignal, log: Logger): JobContext {
    let seq = 0;
    return {
      data,
      queuedAt: job.timestamp,
      signal,
      log,
      willRetry: (error) => {
        const reason = reasonOf(signal);
        if (reason === 'shutdown' || reason === 'lock-lost' || isHandBack(error)) return true;
        return (reason === 'timed-out' || classify(error).retryable) && !isLastAttempt(job);
      },
      progress: async (percent, message) => {
        seq += 1;
        await this.#deps.records.progressJob(data, fence, seq, percent, message);
      },
      output: async (text) => {
        seq += 1;
        await this.#deps.records.outputJob(data, fence, seq, text, job.attemptsMade + 1);
      },
    };
  }

  /** A delivery that did not complete: back to the queue, another attempt, or its end. Throws what BullMQ must see. */
  async #settle(
    job: Job,
    token: string,
    data: JobData,
    fence: number,
    error: unknown,
    { signal, log, willRetry }: JobContext,
  ): Promise<unknown> {
    const { records, metrics } = this.#deps;
    const outcome = (name: string) => metrics.jobs.inc({ kind: data.kind, outcome: name });
    const reason = reasonOf(signal);
    if (error instanceof Forwarded) {
      outcome('forwarded');
      return null;
    }
    if (error instanceof Cancelled) {
      outcome('cancelled');
      await records.endJob(data, { state: 'cancelled' }, fence, job.attemptsMade);
      return null;
    }
    if (reason === 'lock-lost') {
      outcome('lost');
      log.warn('the job runs elsewhere');
      throw new DelayedError();
    }
    if (reason === 'shutdown' || isHandBack(error)) {
      outcome('handed_back');
      this.#ledgerAway ||= error instanceof LedgerAway;
      // A record that only the ledger has is the reconciler's.
      await records.handBackJob(data, fence).catch(unlessAway);
      return this.#handBack(job, token, delayOf(error));
    }
    const told = reason === 'timed-out' ? failure('timed_out') : classify(error);
    const attempts = job.attemptsMade + 1;
    if (willRetry(error)) {
      outcome('retried');
      log.warn({ err: error, code: told.code, attempts }, 'attempt failed');
      await records.retryJob(data, fence, attempts, told, JOB_OPTIONS.backoff.delay * 2 ** (attempts - 1));
      throw new Error(told.message);
    }
    const state = reason === 'timed-out' ? 'timed_out' : 'failed';
    outcome(state);
    log.error({ err: error, code: told.code, attempts }, 'job failed');
    await records.endJob(data, { state, error: told }, fence, attempts);
    throw new UnrecoverableError(told.message);
  }

  async #handBack(job: Job, token: string, delayMs: number): Promise<never> {
    await job.moveToDelayed(Date.now() + delayMs, token);
    throw new DelayedError();
  }
}

const isHandBack = (error: unknown): boolean => error instanceof HandBack || error instanceof LedgerAway;

function delayOf(error: unknown): number {
  if (error instanceof LedgerAway) return LEDGER_AWAY_DELAY_MS;
  return error instanceof HandBack ? error.delayMs : 0;
}

function unlessAway(error: unknown): void {
  if (!(error instanceof LedgerAway)) throw error;
}

const isLastAttempt = (job: Job): boolean => job.attemptsMade + 1 >= (job.opts.attempts ?? 1);

/** A controller of our own that follows `signal`. */
function linked(signal: AbortSignal | undefined): AbortController {
  const own = new AbortController();
  if (signal?.aborted) own.abort(signal.reason);
  signal?.addEventListener('abort', () => own.abort(signal.reason), { once: true });
  return own;
}

/** The handler's answer, or an error when it does not come within `ABORT_GRACE_MS` of an abort. */
async function withinGrace<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  let begin: () => void = () => {};
  const late = new Promise<never>((_, reject) => {
    begin = () => {
      timer = setTimeout(() => reject(new Error('the handler did not stop when told')), ABORT_GRACE_MS);
    };
    if (signal.aborted) begin();
    else signal.addEventListener('abort', begin, { once: true });
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', begin);
  }
}
