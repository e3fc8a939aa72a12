import {
  CONTROL_IDLE_MS,
  CONTROL_TTL_MS,
  type Holder,
  holdingViewer,
} from '@warmwind/shared/contract/screen';
import { actOnControl } from '@warmwind/shared/engine/node/control';
import type { Redis } from 'ioredis';

/** How often a lease is renewed, and least time between two requests for control, ms. */
const RENEW_MS = 2000;
const REQUEST_EVERY_MS = 100;

export type SessionControlOptions = {
  /** The realtime Redis, a fail-fast connection. */
  redis: Redis;
  containerId: string;
  userId: string;
  /** The id under which the session holds control. */
  viewerId: string;
};

/** One session's control of a container: requested by a key or a button, renewed while it is used. */
export class SessionControl {
  readonly #o: SessionControlOptions;
  readonly #timer: NodeJS.Timeout;
  #held: { lease: number; until: number } | undefined;
  #usedAt = 0;
  #requestedAt = Number.NEGATIVE_INFINITY;

  constructor(options: SessionControlOptions) {
    this.#o = options;
    this.#timer = setInterval(() => void this.#renew(), RENEW_MS).unref();
  }

  /**
   * Returns the lease under which input is sent now, 0 without control.
   * @param presses a key or a button is pressed, which requests control that is free
   */
  async lease(presses: boolean): Promise<number> {
    const now = performance.now();
    if (this.#held && now < this.#held.until) {
      this.#usedAt = now;
      return this.#held.lease;
    }
    if (!presses || now - this.#requestedAt < REQUEST_EVERY_MS) return 0;
    this.#requestedAt = now;
    this.#usedAt = now;
    await this.#act('request');
    return this.#held?.lease ?? 0;
  }

  /** Releases control. Never rejects. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    if (this.#held) await this.#act('release');
  }

  async #renew(): Promise<void> {
    if (!this.#held) return;
    await this.#act(performance.now() - this.#usedAt > CONTROL_IDLE_MS ? 'release' : 'look');
  }

  async #act(action: 'request' | 'release' | 'look'): Promise<void> {
    const { redis, containerId, userId, viewerId } = this.#o;
    const caller: Holder = { type: 'viewer', viewerId, userId };
    const askedAt = performance.now();
    const state = await actOnControl(redis, containerId, action, caller).catch(() => undefined);
    if (!state) return;
    const { holder } = state;
    const mine = holder !== null && holdingViewer(holder) === viewerId;
    this.#held = mine ? { lease: holder.lease, until: askedAt + CONTROL_TTL_MS } : undefined;
  }
}
