import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import { runScript } from '@warmwind/shared/runtime/node/script';
import type { Redis } from 'ioredis';
import { holdLease, releaseLease } from './lease.lua.ts';

export type LeaseOptions = {
  /** A fail-fast connection: a late renewal is of no use. */
  redis: Redis;
  key: string;
  /** The holder of the lease: an id unique to this process. */
  holder: string;
  ttlMs: number;
  log: Logger;
  /** Receives every change, in order. */
  onChange?: (held: boolean) => void;
  /** Runs after every renewal. */
  onRenewed?: () => Promise<unknown>;
  /** Whether this process may hold a lease now. It may not while a peer may have released its leases. */
  mayHold?: () => boolean;
};

/**
 * A name that one process holds at a time, as long as it renews it in Redis. The holder treats it as lost as
 * soon as it may have expired there, whatever the network does.
 */
export class Lease {
  readonly #o: LeaseOptions;
  #validUntil = 0;
  #reported = false;
  #stopped = new AbortController();
  /** Aborted to end the present pause between two renewals. */
  #pause = new AbortController();
  #loop: Promise<void> | undefined;
  #expiry: NodeJS.Timeout | undefined;

  constructor(options: LeaseOptions) {
    this.#o = options;
  }

  get held(): boolean {
    return performance.now() < this.#validUntil && this.#mayHold;
  }

  get #mayHold(): boolean {
    return this.#o.mayHold?.() ?? true;
  }

  /** Requests the lease until it is held, and then renews it. */
  start(): void {
    this.#loop ??= this.#run();
  }

  /** Treats the lease as lost: a peer has released it. It is requested again. */
  drop(): void {
    this.#validUntil = 0;
    this.#report();
    this.#pause.abort();
  }

  /** Stops the renewals and releases the lease, so that the next holder need not wait. Never rejects. */
  async release(): Promise<void> {
    this.#stopped.abort();
    await this.#loop;
    clearTimeout(this.#expiry);
    const held = this.held;
    this.#validUntil = 0;
    this.#report();
    if (!held) return;
    const { redis, key, holder, log } = this.#o;
    await runScript(redis, releaseLease, { key }, { holder }).catch((error: unknown) =>
      log.warn({ err: error }, 'lease not released: it expires'),
    );
  }

  async #run(): Promise<void> {
    const { ttlMs } = this.#o;
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      const renewed = await this.#renew();
      this.#pause = new AbortController();
      const either = AbortSignal.any([signal, this.#pause.signal]);
      await sleep(renewed ? ttlMs / 3 : Math.min(1000, ttlMs / 6), undefined, { signal: either }).catch(
        () => undefined,
      );
    }
  }

  async #renew(): Promise<boolean> {
    const { redis, key, holder, ttlMs, log, onRenewed } = this.#o;
    if (!this.#mayHold) return false;
    const asked = performance.now();
    try {
      const now = await runScript(redis, holdLease, { key }, { holder, ttlMs });
      this.#validUntil = now === holder ? asked + ttlMs : 0;
      this.#report();
      if (now === holder) await onRenewed?.();
    } catch (error) {
      log.warn({ err: error }, 'lease not renewed');
    }
    return this.held;
  }

  #report(): void {
    clearTimeout(this.#expiry);
    if (this.held) {
      this.#expiry = setTimeout(() => this.#report(), this.#validUntil - performance.now() + 1);
      this.#expiry.unref();
    }
    if (this.held === this.#reported) return;
    this.#reported = this.held;
    this.#o.onChange?.(this.held);
  }
}
