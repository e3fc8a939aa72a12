import Docker from 'dockerode';
import type { Metrics } from '../metrics.ts';

/** The time-out of a call to the engine, ms. */
const CALL_TIMEOUT_MS = 20_000;

/** The engine's API. Its failures are counted by the name of the call. */
export class EngineCalls {
  readonly docker: Docker;
  readonly #metrics: Pick<Metrics, 'engineErrors'>;

  constructor(socketPath: string, metrics: Pick<Metrics, 'engineErrors'>) {
    this.docker = new Docker({ socketPath, timeout: CALL_TIMEOUT_MS });
    this.#metrics = metrics;
  }

  /** Makes a call. @throws as the call does */
  async run<T>(name: string, call: (docker: Docker) => Promise<T>): Promise<T> {
    try {
      return await call(this.docker);
    } catch (error) {
      const status = statusOf(error);
      if (status === undefined || status >= 500) this.#metrics.engineErrors.inc({ call: name });
      throw error;
    }
  }
}

/** The HTTP status of an error of the engine. */
export const statusOf = (error: unknown): number | undefined =>
  (error as { statusCode?: number } | null)?.statusCode;

/** Swallows engine errors of these statuses: the requested state already holds. */
export const unless =
  (...statuses: number[]) =>
  (error: unknown): void => {
    if (!statuses.includes(statusOf(error) ?? 0)) throw error;
  };
