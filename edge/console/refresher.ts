import { type Signal, signal } from '@preact/signals';
import { RequestError } from '@warmwind/shared/client/http-errors';
import { backoff } from '@warmwind/shared/runtime/backoff';
import type { Api } from './api.ts';

/** Why a read failed; `retryAt` (ms since 1970) when it is retried. */
export type ReadFailure = { error: Error; retryAt?: number };

export type RefresherOptions = {
  /** The interval between reads, ms; without it, reads happen only on request. */
  everyMs?: number;
  /** The shortest time between the last read and a requested one, ms. */
  spacingMs?: number;
};

/**
 * Reads from the edge: one read at a time, only while the page is visible, and after a failure again as soon
 * as the server permits.
 */
export class Refresher {
  /** Whether a read has succeeded. */
  readonly loaded = signal(false);
  /** Why the last read failed; `undefined` once a read has succeeded. */
  readonly failure: Signal<ReadFailure | undefined> = signal(undefined);
  readonly #api: Api;
  readonly #read: () => Promise<void>;
  readonly #options: RefresherOptions;
  readonly #stopWaiting: () => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #dueAt = Number.POSITIVE_INFINITY;
  #readAt = 0;
  #reading = false;
  #failures = 0;
  #closed = false;

  constructor(api: Api, read: () => Promise<void>, options: RefresherOptions = {}) {
    this.#api = api;
    this.#read = read;
    this.#options = options;
    this.#stopWaiting = api.reachable.subscribe((reachable) => {
      if (reachable && this.failure.peek()?.retryAt) this.#schedule(0);
    });
    document.addEventListener('visibilitychange', this.#arm);
  }

  /** Reads as soon as possible. Several requests may share one read. */
  request(): void {
    if (this.failure.peek()?.retryAt) return;
    const { spacingMs = 0 } = this.#options;
    this.#schedule(Math.max(0, this.#readAt + spacingMs - Date.now()));
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#stopWaiting();
    document.removeEventListener('visibilitychange', this.#arm);
  }

  #schedule(inMs: number): void {
    this.#dueAt = Math.min(this.#dueAt, Date.now() + inMs);
    this.#arm();
  }

  readonly #arm = (): void => {
    clearTimeout(this.#timer);
    const idle = this.#closed || this.#reading || this.#dueAt === Number.POSITIVE_INFINITY;
    if (idle || document.visibilityState !== 'visible') return;
    const inMs = Math.max(0, this.#dueAt - Date.now());
    this.#timer = setTimeout(() => void this.#run(), inMs);
  };

  async #run(): Promise<void> {
    this.#reading = true;
    this.#dueAt = Number.POSITIVE_INFINITY;
    try {
      await this.#read();
      this.#failures = 0;
      this.failure.value = undefined;
      this.loaded.value = true;
      const { everyMs = Number.POSITIVE_INFINITY } = this.#options;
      this.#dueAt = Math.min(this.#dueAt, Date.now() + everyMs);
    } catch (error) {
      this.#failed(error as Error);
    }
    this.#readAt = Date.now();
    this.#reading = false;
    this.#arm();
  }

  #failed(error: Error): void {
    const { status = 0, retryAfterMs = 0 } = error instanceof RequestError ? error : {};
    // A permanent refusal is not retried.
    if (status >= 400 && status < 500 && status !== 429) {
      this.failure.value = { error };
      return;
    }
    this.#failures += 1;
    const waitMs = Math.max(retryAfterMs, this.#api.limitedMs, backoff(this.#failures));
    this.#dueAt = Date.now() + waitMs;
    this.failure.value = { error, retryAt: this.#dueAt };
  }
}
