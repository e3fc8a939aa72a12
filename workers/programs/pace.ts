import { setTimeout as sleep } from 'node:timers/promises';

/**
 * The pace of a program's output: a burst, and then so many bytes a second. A room's log holds a few megabytes,
 * and a client that reconnects within seconds must find there what it missed.
 */
export class Pace {
  readonly #burst: number;
  readonly #perSecond: number;
  #left: number;
  #at = performance.now();

  constructor({ burst, perSecond }: { burst: number; perSecond: number }) {
    this.#burst = burst;
    this.#perSecond = perSecond;
    this.#left = burst;
  }

  /** Waits until these bytes may follow. Rejects when the signal is aborted. */
  async take(bytes: number, signal: AbortSignal): Promise<void> {
    const now = performance.now();
    const gained = ((now - this.#at) / 1000) * this.#perSecond;
    this.#left = Math.min(this.#burst, this.#left + gained) - bytes;
    this.#at = now;
    if (this.#left < 0) await sleep((-this.#left / this.#perSecond) * 1000, undefined, { signal });
  }
}
