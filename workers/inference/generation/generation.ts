import type { GenerationResult } from '@warmwind/shared/contract/inference';
import type { Records } from '@warmwind/shared/engine/node/records';
import { queueJobId } from '@warmwind/shared/engine/queues';
import type { Metrics } from '../../metrics.ts';
import type { JobContext } from '../../runtime/delivery.ts';
import { type FailureCode, JobFailureError } from '../../runtime/failures.ts';
import { RequeueError } from '../../runtime/outcome.ts';
import type { Turns } from '../../runtime/turns.ts';
import type { InferenceHandler } from '../inference.ts';
import type { ServedModels } from '../served.ts';
import { ServerBusyError } from './failures.ts';
import { Output } from './output.ts';
import type { ModelServers } from './servers.ts';
import { streamAnswer } from './stream.ts';
import type { WaitingJobs } from './waiting.ts';

/** A job that must wait is requeued for half as long as it has waited, within these bounds, ms. */
const MIN_WAIT_MS = 250;
const MAX_WAIT_MS = 15_000;

export type GenerationOptions = {
  servers: ModelServers;
  served: ServedModels;
  waitingJobs: WaitingJobs;
  records: Records;
  metrics: Metrics;
  turns: Turns;
  /** Time for which a server may send nothing, ms. */
  idleMs: number;
  /** Time that a job waits for a server that loads or is busy, from its first delivery on, ms. */
  waitMs: number;
};

/** Creates the handler that answers with a language model and streams the answer to the job's room. */
export function createGeneration(options: GenerationOptions): InferenceHandler<GenerationResult> {
  const { servers, metrics, idleMs } = options;
  return async (job, input) => {
    const startedAt = Date.now();
    const { userId } = job.data;
    const server = await servers.choose(input.model, userId);
    if (server === 'busy') return wait(options, job, startedAt, { code: 'model_busy' });
    if (!server) return waitForModel(options, job, startedAt, input.model);
    server.inFlight += 1;
    const output = new Output(publishWithProgress(job));
    try {
      await job.progress(10, 'asks the model');
      const { text, finishReason, usage, firstTokenAt } = await streamAnswer(
        server,
        { input, userId },
        job.signal,
        idleMs,
        (piece) => {
          server.refusals.accept(startedAt);
          output.add(piece);
        },
      );
      await output.end();
      const endedAt = Date.now();
      const firstTokenMs = (firstTokenAt || endedAt) - startedAt;
      metrics.tokens.inc({ model: input.model }, usage.outputTokens);
      metrics.firstTokenSeconds.observe(firstTokenMs / 1000);
      await job.progress(100, 'answered');
      const queueMs = Math.max(0, startedAt - job.queuedAt);
      const runMs = endedAt - startedAt;
      const result: GenerationResult = {
        model: input.model,
        text,
        finishReason,
        usage,
        queueMs,
        firstTokenMs,
        runMs,
      };
      return result;
    } catch (error) {
      output.discard();
      if (!(error instanceof ServerBusyError)) throw error;
      server.refusals.add(userId, error.retryAfterMs);
      return wait(options, job, startedAt, { code: 'model_busy', minWaitMs: error.retryAfterMs });
    } finally {
      server.inFlight -= 1;
    }
  };
}

/**
 * Publishes pieces of text. The first is followed by the progress of the job, in order, as both count as its
 * events.
 */
function publishWithProgress(job: JobContext): (text: string) => Promise<void> {
  let hasBegun = false;
  return async (text) => {
    await job.output(text);
    if (hasBegun) return;
    hasBegun = true;
    await job.progress(30, 'answers');
  };
}

/**
 * Requeues a job whose model no healthy server of this worker has.
 * @throws JobFailureError `model_missing` when no peer has the model and no server loads
 */
async function waitForModel(
  options: GenerationOptions,
  job: JobContext,
  startedAt: number,
  model: string,
): Promise<never> {
  const { servers, served, waitingJobs } = options;
  if (!servers.loading() && !(await served.isServedElsewhere(model)))
    throw new JobFailureError('model_missing');
  const { jobId, run } = job.data;
  const onDelayed = () => waitingJobs.add(model, queueJobId(jobId, run), job.queuedAt);
  return wait(options, job, startedAt, { code: 'model_unavailable', onDelayed });
}

type WaitOptions = {
  /** The failure of a job that has waited too long. */
  code: FailureCode;
  minWaitMs?: number | undefined;
  /** See `RequeueError`. */
  onDelayed?: () => Promise<void>;
};

/**
 * Requeues the job until it has waited too long. No attempt and no turn of the queue's limiter is spent, so
 * that jobs of other models continue. The pauses grow with the time that the job has waited.
 */
async function wait(
  { records, turns, waitMs }: GenerationOptions,
  { data }: JobContext,
  startedAt: number,
  { code, minWaitMs = MIN_WAIT_MS, onDelayed }: WaitOptions,
): Promise<never> {
  const waited = Date.now() - (await records.jobs.startedAt(data));
  if (waited > waitMs) throw new JobFailureError(code);
  await turns.release(startedAt, data.userId);
  const delayMs = Math.max(minWaitMs, Math.min(MAX_WAIT_MS, waited / 2)) * (1 + Math.random() / 4);
  throw new RequeueError(delayMs, onDelayed);
}
