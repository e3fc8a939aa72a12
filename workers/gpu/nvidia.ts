import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import { z } from 'zod';
import { loop } from '../loop.ts';
import type { Metrics } from '../metrics.ts';

const run = promisify(execFile);
const READ_EVERY_MS = 15_000;
const ANSWER_WITHIN_MS = 10_000;
const MAX_ANSWER_BYTES = 2 ** 16;
const MAX_GPUS = 64;
const FIELDS = ['index', 'uuid', 'temperature.gpu', 'memory.used', 'memory.total', 'utilization.gpu'];

/** A field of a card; `undefined` when the card does not report it (`[N/A]` or similar). */
const Reading = (max: number) =>
  z
    .string()
    .regex(/^\d{1,9}$/)
    .transform(Number)
    .pipe(z.number().max(max))
    .optional()
    .catch(undefined);

const Gpu = z.object({
  index: z
    .string()
    .regex(/^\d{1,3}$/)
    .transform(Number),
  uuid: z.string().regex(/^[A-Za-z0-9-]{1,80}$/),
  temperatureC: Reading(200),
  memoryUsedMb: Reading(2 ** 24),
  memoryTotalMb: Reading(2 ** 24),
  utilizationPercent: Reading(100),
});
/** One GPU, as `nvidia-smi` reports it. */
export type Gpu = z.infer<typeof Gpu>;

/** Reads this host's GPUs every `READ_EVERY_MS` with `nvidia-smi`; without that program it does nothing. */
export class Gpus {
  readonly #log: Logger;
  readonly #metrics: Metrics;
  readonly #stop = new AbortController();
  #reading: Promise<void> | undefined;
  #gpus: Gpu[] = [];
  #wereRead = false;

  constructor(log: Logger, metrics: Metrics) {
    this.#log = log;
    this.#metrics = metrics;
  }

  /** The GPUs as last read; empty when there are none or they do not answer. */
  get all(): Gpu[] {
    return this.#gpus;
  }

  /** Whether a reading has succeeded or failed. */
  get wereRead(): boolean {
    return this.#wereRead;
  }

  start(): void {
    this.#reading ??= loop('gpus', this.#log, this.#stop.signal, () => this.#read());
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#reading;
  }

  async #read(): Promise<number> {
    try {
      this.#gpus = await readGpus(this.#stop.signal);
    } catch (error) {
      this.#gpus = [];
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      this.#stop.abort();
    } finally {
      this.#wereRead = true;
      this.#report();
    }
    return READ_EVERY_MS;
  }

  #report(): void {
    const { gpuCelsius, gpuMemoryBytes, gpuUtilization } = this.#metrics;
    for (const gauge of [gpuCelsius, gpuMemoryBytes, gpuUtilization]) gauge.reset();
    for (const { index, temperatureC, memoryUsedMb, memoryTotalMb, utilizationPercent } of this.#gpus) {
      const gpu = `${index}`;
      if (temperatureC !== undefined) gpuCelsius.set({ gpu }, temperatureC);
      if (memoryUsedMb !== undefined) gpuMemoryBytes.set({ gpu, what: 'used' }, memoryUsedMb * 2 ** 20);
      if (memoryTotalMb !== undefined) gpuMemoryBytes.set({ gpu, what: 'total' }, memoryTotalMb * 2 ** 20);
      if (utilizationPercent !== undefined) gpuUtilization.set({ gpu }, utilizationPercent / 100);
    }
  }
}

/** @throws an error with code `ENOENT` when there is no `nvidia-smi` */
async function readGpus(signal: AbortSignal): Promise<Gpu[]> {
  const args = [`--query-gpu=${FIELDS.join()}`, '--format=csv,noheader,nounits'];
  const bounds = {
    timeout: ANSWER_WITHIN_MS,
    maxBuffer: MAX_ANSWER_BYTES,
    killSignal: 'SIGKILL',
    signal,
  } as const;
  const { stdout } = await run('nvidia-smi', args, bounds);
  return parseGpus(stdout);
}

/**
 * Parses the CSV of `nvidia-smi`. Lines that are no GPU are left out; fields that a GPU does not report are
 * undefined.
 */
export function parseGpus(csv: string): Gpu[] {
  return csv
    .split('\n', MAX_GPUS)
    .map((line) => {
      const [index, uuid, temperatureC, memoryUsedMb, memoryTotalMb, utilizationPercent] = line
        .split(',')
        .map((field) => field.trim());
      return Gpu.safeParse({ index, uuid, temperatureC, memoryUsedMb, memoryTotalMb, utilizationPercent });
    })
    .flatMap(({ data }) => (data ? [data] : []));
}
