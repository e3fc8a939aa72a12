import { type GenerationResult, OCR_MODEL, type ReadingResult } from '@warmwind/shared/contract/inference';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import type { Config } from '../config.ts';
import { Gpus } from '../gpu/nvidia.ts';
import type { Metrics } from '../metrics.ts';
import type { Handler } from '../runtime/delivery.ts';
import { Turns } from '../runtime/turns.ts';
import type { Stores } from '../stores.ts';
import { createGeneration } from './generation/generation.ts';
import { ModelServers } from './generation/servers.ts';
import { WaitingJobs } from './generation/waiting.ts';
import { createInference } from './inference.ts';
import { createLook } from './reading/look.ts';
import { createReaders, createReading } from './reading/reading.ts';
import { ServedModels } from './served.ts';

/**
 * The models of this worker: its model servers, the forks that read images, and their publication to the
 * fleet.
 */
export class Models {
  /** Answers requests to model servers. */
  readonly generation: Handler<GenerationResult>;
  /** Reads images. */
  readonly reading: Handler<ReadingResult>;
  readonly #readers: ReturnType<typeof createReaders>;
  readonly #servers: ModelServers;
  /** The GPUs of this machine. */
  readonly gpus: Gpus;
  readonly #served: ServedModels;
  readonly #waitingJobs: WaitingJobs;
  readonly #hasServers: boolean;

  constructor(config: Config, stores: Stores, metrics: Metrics, log: Logger) {
    const { failFastRedis, records } = stores;
    this.#hasServers = config.MODEL_SERVERS.length > 0;
    this.#readers = createReaders(config.READING_CONCURRENCY, config.SANDBOX_MEMORY_MB);
    const servers = new ModelServers({
      urls: config.MODEL_SERVERS,
      key: config.MODEL_SERVER_KEY,
      maxWaiting: config.MODEL_MAX_WAITING,
      log,
      onPolled: (states) => {
        for (const [state, count] of Object.entries(states)) metrics.modelServers.set({ state }, count);
      },
    });
    const served = new ServedModels({
      redis: failFastRedis,
      host: config.WORKER_HOST,
      models: () => [OCR_MODEL, ...servers.models()],
      loading: () => servers.loading(),
      log,
    });
    const waitingJobs = new WaitingJobs({
      redis: stores.queueRedis,
      queue: stores.queue('ai-inference'),
      models: () => servers.available(config.INFERENCE_CONCURRENCY),
      log,
    });
    this.#servers = servers;
    this.#served = served;
    this.#waitingJobs = waitingJobs;
    this.gpus = new Gpus(log, metrics);
    const { limit: max, windowMs: duration } = config.INFERENCE_LIMIT;
    const read = createReading(this.#readers, createLook(records, stores.caller));
    const generate = createGeneration({
      servers,
      served,
      waitingJobs,
      records,
      metrics,
      turns: new Turns(failFastRedis, 'ai-inference', { max, duration }),
      idleMs: config.MODEL_IDLE_MS,
      waitMs: config.MODEL_WAIT_MS,
    });
    const { queue } = stores;
    this.reading = createInference({ records, name: 'ai-readings', queue, answer: read });
    this.generation = createInference({ records, name: 'ai-inference', queue, answer: generate });
  }

  start(): void {
    this.#servers.start();
    this.gpus.start();
    this.#served.start();
    this.#waitingJobs.start();
  }

  /**
   * Serves the readiness probe.
   * @throws Error when there are model servers and none answers
   */
  check(): { servers: unknown; served: number; gpus: unknown } {
    const states = this.#servers.states();
    if (this.#hasServers && states.up + states.loading === 0) {
      throw new Error('no model server answers: check that MODEL_SERVERS run and can be reached');
    }
    return { servers: states, served: this.#servers.models().length, gpus: this.gpus.all };
  }

  /** Publishes to the fleet that this worker serves no models any more. */
  withdraw(): Promise<unknown> {
    return Promise.all([this.#served.close(), this.#waitingJobs.close()]);
  }

  async close(): Promise<void> {
    await Promise.all([this.#readers.close(), this.#servers.close(), this.gpus.close()]);
  }
}
