import { MAX_GENERATION_MS, MAX_READING_MS } from '@warmwind/shared/contract/inference';
import type { JobKind } from '@warmwind/shared/contract/jobs';
import { MAX_PROGRAM_MS, USUAL_PROGRAM_MS } from '@warmwind/shared/contract/programs';
import { hostProgramsQueue, hostQueue, hostWorkQueue } from '@warmwind/shared/engine/queues';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import type { Config } from '../config.ts';
import type { Admission } from '../containers/admission.ts';
import type { Models } from '../inference/models.ts';
import type { Metrics } from '../metrics.ts';
import type { Stores } from '../stores.ts';
import type { Handler } from './delivery.ts';
import { JobWorker, type JobWorkerOptions } from './worker.ts';

export type WorkersOptions = {
  config: Config;
  /** The boot id of this process. */
  boot: string;
  stores: Stores;
  handlers: Record<JobKind, Handler>;
  /** Decides about starts that wait for room. */
  host: { admission: Pick<Admission, 'deferral'> };
  models: Models;
  metrics: Metrics;
  log: Logger;
};

/**
 * The workers of a process. Those of its host's containers run while its lease is held, the others always.
 */
export type Workers = { ofHost: JobWorker[]; ofAnyHost: JobWorker[]; all: JobWorker[] };

/** Creates a worker for every queue that this process serves. */
export function createWorkers(options: WorkersOptions): Workers {
  const { config, boot, stores, handlers, host, models, metrics, log } = options;
  const { queueRedis: redis, records, ledger, queue } = stores;
  const deps = { boot, redis, records, ledger, metrics, log, queue };
  const { LOCK_MS: lockMs, STALLED_EVERY_MS: stalledEveryMs } = config;
  const serve = (
    {
      requeuesAtShutdown = true,
      ...options
    }: Partial<JobWorkerOptions> & Pick<JobWorkerOptions, 'queue' | 'concurrency'>,
    served = handlers,
  ) => new JobWorker(deps, { lockMs, stalledEveryMs, requeuesAtShutdown, ...options }, served);

  const { limit: max, windowMs: duration } = config.INFERENCE_LIMIT;
  const limiter = { max, duration };
  const placements = serve({
    queue: 'containers',
    concurrency: config.CONTAINERS_CONCURRENCY,
    deferral: (data, queuedAt) => host.admission.deferral(data, queuedAt),
    onDeferred: () => stores.waiting.publish().catch(() => undefined),
  });
  const commands = [hostQueue(config.WORKER_HOST), hostWorkQueue(config.WORKER_HOST)].map((own) =>
    serve({ queue: own, concurrency: config.COMMANDS_CONCURRENCY, requeuesAtShutdown: false }),
  );
  // A program outlives its worker: the next one of this host follows it.
  const programs = serve({
    queue: hostProgramsQueue(config.WORKER_HOST),
    concurrency: config.PROGRAMS_CONCURRENCY,
    attemptTimeoutMs: USUAL_PROGRAM_MS,
    maxAttemptTimeoutMs: MAX_PROGRAM_MS,
  });
  const inference = serve({
    queue: 'ai-inference',
    concurrency: config.INFERENCE_CONCURRENCY,
    limiter,
    maxAttemptTimeoutMs: MAX_GENERATION_MS,
  });
  const readings = serve(
    {
      queue: 'ai-readings',
      concurrency: config.READING_CONCURRENCY,
      limiter,
      attemptTimeoutMs: MAX_READING_MS,
      maxAttemptTimeoutMs: MAX_READING_MS,
    },
    { ...handlers, inference: models.reading },
  );
  const ofHost = [placements, ...commands, programs];
  const ofAnyHost = [inference, readings];
  return { ofHost, ofAnyHost, all: [...ofHost, ...ofAnyHost] };
}
