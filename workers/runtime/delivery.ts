import { isTerminal, type Waiting } from '@warmwind/shared/contract/jobs';
import { createsContainers, findJobCommand, type JobKind } from '@warmwind/shared/contract/registry';
import { readLag } from '@warmwind/shared/engine/ledger/reads';
import { type Ledger, LedgerUnavailableError } from '@warmwind/shared/engine/node/ledger';
import type {
  Claim,
  JobChange,
  OutputOffsets,
  OutputPiece,
  Records,
} from '@warmwind/shared/engine/node/records';
import { ATTEMPT_TIMEOUT_MS, JOB_OPTIONS, type JobData } from '@warmwind/shared/engine/queues';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import { withTimeout } from '@warmwind/shared/runtime/timeout';
import { DelayedError, type Job, UnrecoverableError } from 'bullmq';
import type { Metrics } from '../metrics.ts';
import { parseJobData, readAnyJobData } from './data.ts';
import { classify, failedReason, failure } from './failures.ts';
import {
  type AbortReason,
  CancelledError,
  ForwardedError,
  RequeueError,
  reasonOf,
  TimedOutError,
} from './outcome.ts';

/** The time that an aborted handler has to stop, ms. After it the job is settled without the handler. */
const ABORT_GRACE_MS = 20_000;
/** The delay of a job of a later version before the next delivery, ms. */
const NEWER_VERSION_DELAY_MS = 5000;
/** The delay of a job that needs the ledger while it is unavailable, ms. */
const LEDGER_UNAVAILABLE_DELAY_MS = 2000;

/** One delivery of a job, as its handler receives it. */
export type JobContext = {
  data: JobData;
  /** The time at which its run was queued, ms since 1970. */
  queuedAt: number;
  /**
   * Aborted at a cancellation, the attempt's time-out, a shutdown and a lost lock. Its reason is an
   * `AbortReason`.
   */
  signal: AbortSignal;
  log: Logger;
  /** Whether another delivery would follow if this error ended the present one. */
  willRetry: (error: unknown) => boolean;
  /** @param waiting why a start does not advance */
  progress: (percent: number, message?: string, waiting?: Waiting) => Promise<void>;
  /** Publishes a piece of the job's output while it runs. */
  output: (text: string) => Promise<void>;
  /** The output of the program that the job runs. */
  program: ProgramOutput;
  /** How long the attempt may take, ms. */
  timeoutMs: number;
  /** Runs work, which must not reject, once the end of the run is recorded, and not when it is requeued. */
  onEnd: (work: () => Promise<void>) => void;
};

/** Publishes the output of a job's program. */
export type ProgramOutput = {
  /**
   * Publishes a piece now or not at all.
   * @returns whether it is new to the log; also `false` while the realtime Redis does not answer
   */
  publish: (piece: OutputPiece) => Promise<boolean>;
  /**
   * The offsets up to which the job's log has the output.
   * @returns `undefined` while the realtime Redis does not answer
   */
  ends: () => Promise<OutputOffsets | undefined>;
};

/**
 * Runs jobs of one kind. Returns the result (small JSON); a thrown error becomes a failure of `failures.ts`.
 */
export type Handler<Result = unknown> = (job: JobContext) => Promise<Result>;

export type RuntimeDeps = {
  records: Records;
  ledger: Ledger | undefined;
  metrics: Metrics;
  log: Logger;
};

/** One active delivery. `data` is set once it was parsed, `fence` once the run was claimed. */
export type Delivery = {
  job: Job;
  token: string;
  abort: AbortController;
  data?: JobData;
  fence?: number;
  /** Work of the handler that waits for the end of the run. */
  onEnd?: (() => Promise<void>)[];
};

/**
 * Makes deliveries: claims, runs and settles each. A run that is delivered twice still reaches one terminal
 * state.
 */
export class Runtime {
  readonly #deps: RuntimeDeps;
  readonly #handlers: Record<JobKind, Handler>;
  readonly #timeouts: { usualMs: number; longestMs: number };
  /** Set when a job had to wait for the ledger. The next start then checks the ledger before it claims. */
  #ledgerUnavailable = false;

  /**
   * @param timeouts of an attempt: `usualMs` for a job without one of its own, `longestMs` as the bound of
   * all
   */
  constructor(
    deps: RuntimeDeps,
    handlers: Record<JobKind, Handler>,
    timeouts: { usualMs?: number | undefined; longestMs?: number | undefined } = {},
  ) {
    this.#deps = deps;
    this.#handlers = handlers;
    const { usualMs = ATTEMPT_TIMEOUT_MS, longestMs = Math.max(usualMs, ATTEMPT_TIMEOUT_MS) } = timeouts;
    this.#timeouts = { usualMs, longestMs };
  }

  /**
   * Makes one delivery.
   * @returns the value that BullMQ keeps
   * @throws DelayedError when it is requeued
   * @throws UnrecoverableError when the run has failed for good; any other error makes BullMQ retry it
   */
  async deliver(delivery: Delivery): Promise<unknown> {
    const { job, abort } = delivery;
    const { records, metrics } = this.#deps;
    const data = parseJobData(job.data);
    if (data === 'newer') {
      return (await this.#hasRunEnded(job)) ? null : this.requeue(delivery, NEWER_VERSION_DELAY_MS);
    }
    if (data === 'invalid') throw new UnrecoverableError(failedReason(failure('invalid_job')));
    delivery.data = data;

    const claim = await this.#claim(job, data);
    if (claim === 'ledger_unavailable') return this.requeue(delivery, LEDGER_UNAVAILABLE_DELAY_MS);
    if (claim.verdict !== 'ok') {
      await records.jobs.republishEnds(data);
      return null;
    }
    const { fence } = claim;
    const { usualMs, longestMs } = this.#timeouts;
    const timeoutMs = Math.min(claim.timeoutMs ?? usualMs, longestMs);
    delivery.fence = fence;
    const stopTimer = metrics.jobSeconds.startTimer({ kind: data.kind });
    const timer = setTimeout(() => abort.abort('timed-out' satisfies AbortReason), timeoutMs);
    const context = this.#context(delivery, data, { fence, timeoutMs });
    try {
      if (abort.signal.aborted) throw new Error('aborted');
      const result = await withinGrace(this.#handlers[data.kind](context), abort.signal);
      const verdict = await records.jobs.end(
        data,
        { state: 'completed', result },
        fence,
        job.attemptsMade + 1,
      );
      runAfterEnd(delivery, verdict);
      const outcome = reasonOf(abort.signal) === 'cancelled' ? 'cancelled' : verdict;
      metrics.jobs.inc({ kind: data.kind, outcome: verdict === 'ok' ? 'completed' : outcome });
      return result ?? null;
    } catch (error) {
      return await this.#settle(delivery, fence, error, context);
    } finally {
      clearTimeout(timer);
      stopTimer();
    }
  }

  /**
   * Whether a run that this version can't execute has ended. The run of a recovered host may have, while it
   * was lost.
   */
  async #hasRunEnded(job: Job): Promise<boolean> {
    const data = readAnyJobData(job.data);
    if (!data) return false;
    const now = await this.#deps.records.jobs.status(data.userId, data.jobId).catch(ignoreLedgerUnavailable);
    return now !== undefined && (now.run > data.run || (now.run === data.run && isTerminal(now.state)));
  }

  /** Requeues the delivery after `delayMs`. No attempt is spent. */
  async requeue({ job, token }: Delivery, delayMs = 0): Promise<never> {
    await job.moveToDelayed(Date.now() + delayMs, token);
    throw new DelayedError();
  }

  /**
   * Claims the run.
   * @returns `ledger_unavailable` when the ledger is needed and unavailable; no event is published then
   */
  async #claim(job: Job, data: JobData): Promise<Claim | 'ledger_unavailable'> {
    const { records, ledger } = this.#deps;
    try {
      if (this.#ledgerUnavailable && createsContainers(data.kind)) await ledger?.run(readLag);
      const claim = await records.jobs.claim(data, job.attemptsMade);
      if (createsContainers(data.kind)) this.#ledgerUnavailable = false;
      return claim;
    } catch (error) {
      if (!(error instanceof LedgerUnavailableError)) throw error;
      this.#ledgerUnavailable = true;
      return 'ledger_unavailable';
    }
  }

  #context(
    delivery: Delivery,
    data: JobData,
    { fence, timeoutMs }: { fence: number; timeoutMs: number },
  ): JobContext {
    const { records, log } = this.#deps;
    const { jobId, requestId, userId, kind, run } = data;
    const { job, abort } = delivery;
    const { signal } = abort;
    let seq = 0;
    let own: Logger | undefined;
    return {
      data,
      queuedAt: job.timestamp,
      signal,
      get log() {
        own ??= log.child({ jobId, requestId, userId, kind, run });
        return own;
      },
      willRetry: (error) => {
        const reason = reasonOf(signal);
        if (reason === 'cancelled') return false;
        if (reason === 'shutdown' || reason === 'lock-lost' || isRequeue(error)) return true;
        if (hasTimedOut(signal, error) && findJobCommand(kind)?.timeoutEndsRun) return false;
        return (hasTimedOut(signal, error) || classify(error).retryable) && !isLastAttempt(job);
      },
      progress: async (percent, message, waiting) => {
        seq += 1;
        await records.jobs.progress(data, fence, seq, { percent, message, waiting });
      },
      output: async (text) => {
        seq += 1;
        await records.jobs.output(data, fence, seq, text, job.attemptsMade + 1);
      },
      program: {
        publish: (piece) => records.jobs.programOutput(data, fence, piece, job.attemptsMade + 1),
        ends: () => records.jobs.outputEnds(data),
      },
      timeoutMs,
      onEnd: (work) => {
        delivery.onEnd = [...(delivery.onEnd ?? []), work];
      },
    };
  }

  /** Settles a delivery that did not complete: requeues it, plans another attempt, or ends the run. */
  async #settle(delivery: Delivery, fence: number, error: unknown, context: JobContext): Promise<unknown> {
    const { data, signal, willRetry } = context;
    const { records, metrics } = this.#deps;
    const { attemptsMade } = delivery.job;
    const outcome = (name: string) => metrics.jobs.inc({ kind: data.kind, outcome: name });
    const reason = reasonOf(signal);
    if (error instanceof ForwardedError) {
      outcome('forwarded');
      return null;
    }
    if (error instanceof CancelledError || reason === 'cancelled') {
      outcome('cancelled');
      runAfterEnd(delivery, await records.jobs.end(data, { state: 'cancelled' }, fence, attemptsMade));
      return null;
    }
    if (reason === 'lock-lost') {
      outcome('lost');
      context.log.warn('job lock lost: another worker runs it');
      throw new DelayedError();
    }
    if (reason === 'shutdown' || isRequeue(error)) {
      outcome('handed_back');
      this.#ledgerUnavailable ||= error instanceof LedgerUnavailableError;
      // The reconciler requeues a run whose record only the ledger has.
      const verdict = await records.jobs.requeue(data, fence).catch(ignoreLedgerUnavailable);
      if (verdict === 'ended') return null;
      const onDelayed = error instanceof RequeueError ? error.onDelayed : undefined;
      return await this.requeue(delivery, delayOf(error)).finally(() => onDelayed?.());
    }
    const timedOut = hasTimedOut(signal, error);
    const jobError = timedOut ? failure('timed_out') : classify(error);
    const attempts = attemptsMade + 1;
    if (willRetry(error)) {
      outcome('retried');
      context.log.warn({ err: error, code: jobError.code, attempts }, 'attempt failed');
      const delayMs = JOB_OPTIONS.backoff.delay * 2 ** (attempts - 1);
      const verdict = await records.jobs.retry(data, fence, attempts, jobError, delayMs);
      if (verdict === 'ended') return null;
      throw new Error(failedReason(jobError));
    }
    const state = timedOut ? 'timed_out' : 'failed';
    outcome(state);
    context.log.error({ err: error, code: jobError.code, attempts }, 'job failed');
    runAfterEnd(delivery, await records.jobs.end(data, { state, error: jobError }, fence, attempts));
    throw new UnrecoverableError(failedReason(jobError));
  }
}

/** Runs the work that a handler left for the end of its run, unless another worker has the run. */
function runAfterEnd({ onEnd = [] }: Delivery, verdict: JobChange): void {
  if (verdict === 'stale') return;
  for (const work of onEnd) void work();
}

const hasTimedOut = (signal: AbortSignal, error: unknown): boolean =>
  reasonOf(signal) === 'timed-out' || error instanceof TimedOutError;

const isRequeue = (error: unknown): boolean =>
  error instanceof RequeueError || error instanceof LedgerUnavailableError;

function delayOf(error: unknown): number {
  if (error instanceof LedgerUnavailableError) return LEDGER_UNAVAILABLE_DELAY_MS;
  return error instanceof RequeueError ? error.delayMs : 0;
}

function ignoreLedgerUnavailable(error: unknown): undefined {
  if (!(error instanceof LedgerUnavailableError)) throw error;
}

const isLastAttempt = (job: Job): boolean => job.attemptsMade + 1 >= (job.opts.attempts ?? 1);

/** The handler's result. Rejects when it does not settle within `ABORT_GRACE_MS` of an abort. */
async function withinGrace<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, resolve } = Promise.withResolvers<void>();
  const begin = () => resolve();
  if (signal.aborted) begin();
  else signal.addEventListener('abort', begin, { once: true });
  try {
    await Promise.race([work, aborted]);
    return await withTimeout(work, ABORT_GRACE_MS, () => {
      throw new Error('the handler did not stop after its signal was aborted');
    });
  } finally {
    signal.removeEventListener('abort', begin);
  }
}
