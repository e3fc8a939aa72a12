import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CallCommand } from '@warmwind/shared/contract/command';
import { ApiError } from '@warmwind/shared/contract/errors';
import { callKeys } from '@warmwind/shared/engine/keys';
import { claimCall, settleCall } from '@warmwind/shared/engine/scripts/claim.lua';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import { runScript } from '@warmwind/shared/runtime/node/script';
import type { Redis } from 'ioredis';
import { loop } from '../loop.ts';
import { failed, type Settled, UNKNOWN } from './call.ts';
import { RecentClaims } from './recent-claims.ts';

/** How long a claim is kept, ms. */
const KEPT_MS = 5 * 60_000;
/** Time to live of this process's lease, and how often it is renewed, ms. */
const LEASE_MS = 5000;
const RENEW_MS = 1500;
/** How often a call that another process holds is polled, ms. */
const LOOK_MS = 100;
/** Largest answer that is kept, unless its command sets another limit, bytes. */
const MAX_KEPT_BYTES = 64 * 1024;

/** A call that may be carried out once. */
export type Claim = { containerId: string; claimHash: string; inputHash: string };

type ClaimsOptions = {
  /** The realtime Redis, a fail-fast connection. */
  redis: Redis;
  /** The name of this process, unique over time. */
  holder: string;
  log: Logger;
};

/**
 * Carries out a call at most once for each key. A call is claimed in Redis before its first effect, and its
 * outcome is kept for repeated requests. A request waits for a claim without an outcome while the process
 * that claimed it holds its lease. Without that lease the process is gone, and the outcome is unknown. It is
 * unknown also when Redis lost the claim of a call that this process carried out.
 */
export class Claims {
  readonly #o: ClaimsOptions;
  readonly #stopped = new AbortController();
  /** By Redis key: resolves when a call that this process claimed has been settled. */
  readonly #running = new Map<string, Promise<void>>();
  readonly #recent = new RecentClaims(KEPT_MS);
  #renewedAt = Number.NEGATIVE_INFINITY;
  #loop: Promise<void> | undefined;

  constructor(options: ClaimsOptions) {
    this.#o = options;
  }

  start(): void {
    this.#loop ??= loop('calls', this.#o.log, this.#stopped.signal, async () => {
      await this.#renew();
      return RENEW_MS;
    });
  }

  /** Releases the lease: calls without an outcome have none from now on. Never rejects. */
  async close(): Promise<void> {
    this.#stopped.abort();
    await this.#loop;
    await this.#o.redis.del(callKeys.holder(this.#o.holder)).catch(() => undefined);
  }

  /**
   * Runs `work`, unless it ran under this claim before.
   * @returns the outcome; `replayed`: `work` ran before
   * @throws ApiError `unavailable` when the call could not be claimed: `work` did not run
   */
  async once(
    claim: Claim,
    command: CallCommand,
    signal: AbortSignal,
    work: () => Promise<Settled>,
  ): Promise<Settled & { replayed: boolean }> {
    const held = await this.#claim(claim, signal);
    if (held) return { ...held, replayed: true };
    const key = callKeys.claim(claim.containerId, claim.claimHash);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#running.set(key, promise);
    try {
      const settled = await work();
      await this.#settle(claim, command, settled);
      return { ...settled, replayed: false };
    } finally {
      this.#running.delete(key);
      resolve();
    }
  }

  /** Claims a call. @returns its outcome, `undefined` when this process is to carry it out */
  async #claim(claim: Claim, signal: AbortSignal): Promise<Settled | undefined> {
    const { redis, holder } = this.#o;
    if (performance.now() - this.#renewedAt > LEASE_MS - RENEW_MS) await this.#renew().catch(notClaimed);
    for (let wasGone = false; ; ) {
      const args = { inputHash: claim.inputHash, holder, ttlMs: KEPT_MS };
      const answer = await runScript(redis, claimCall, claim, args).catch(notClaimed);
      if (answer[0] === 'claimed') return this.#repeated(claim);
      if (answer[0] === 'conflict') return failed(reused());
      if (answer[0] === 'ended') return { outcome: answer[1], bytes: Buffer.from(answer[2]) };
      if (wasGone || signal.aborted) return UNKNOWN;
      wasGone = await this.#isGone(claim, answer[1], signal);
    }
  }

  /**
   * Remembers a claim that Redis has just granted.
   * @returns the outcome, when this process had claimed the same before and Redis lost that
   */
  async #repeated({ containerId, claimHash, inputHash }: Claim): Promise<Settled | undefined> {
    const key = callKeys.claim(containerId, claimHash);
    const earlier = this.#recent.inputOf(key);
    if (earlier === undefined) {
      this.#recent.add(key, inputHash);
      return undefined;
    }
    await this.#running.get(key);
    return earlier === inputHash ? UNKNOWN : failed(reused());
  }

  /**
   * Waits a moment for the holder of a claim.
   * @returns true when no outcome will follow after the present one
   */
  async #isGone({ containerId, claimHash }: Claim, holder: string, signal: AbortSignal): Promise<boolean> {
    if (holder === this.#o.holder) {
      await this.#running.get(callKeys.claim(containerId, claimHash));
      return true;
    }
    if ((await this.#o.redis.exists(callKeys.holder(holder)).catch(notClaimed)) === 0) return true;
    await sleep(LOOK_MS, undefined, { signal }).catch(() => undefined);
    return false;
  }

  /** Keeps an outcome. Never rejects: an outcome that was not kept is unknown to repeated requests. */
  async #settle(claim: Claim, command: CallCommand, settled: Settled): Promise<void> {
    const { redis, holder, log } = this.#o;
    const kept = keptOf(settled, command.maxKeptBytes ?? MAX_KEPT_BYTES);
    const args = {
      holder,
      outcome: JSON.stringify(kept.outcome),
      answer: kept.bytes.toString(),
      ttlMs: KEPT_MS,
    };
    await runScript(redis, settleCall, claim, args).catch((error: unknown) =>
      log.warn({ kind: command.kind, containerId: claim.containerId, err: error }, 'call outcome not kept'),
    );
  }

  async #renew(): Promise<void> {
    await this.#o.redis.set(callKeys.holder(this.#o.holder), '1', 'PX', LEASE_MS);
    this.#renewedAt = performance.now();
  }
}

/** Returns the name of a claim: the same key of another user, or for another kind, gives another name. */
export const claimHashOf = (userId: string, kind: string, keyHash: string): string =>
  createHash('sha256')
    .update(JSON.stringify([userId, kind, keyHash]))
    .digest('hex');

/** Returns an outcome as a repeated request gets it. */
function keptOf({ outcome, bytes, reduced }: Settled, maxBytes: number): Settled {
  if (bytes.length <= maxBytes) return { outcome, bytes };
  const rest = reduced?.();
  return rest && rest.length <= maxBytes ? { outcome, bytes: rest } : failed(tooLargeToKeep());
}

const notClaimed = (): never => {
  throw new ApiError(
    'unavailable',
    'The request could not be started, and nothing was done. Send it again.',
    {
      retryAfterMs: 1000,
    },
  );
};
const reused = () =>
  new ApiError(
    'conflict',
    'This Idempotency-Key was used for another request: use a new key for a new request.',
  );
const tooLargeToKeep = () =>
  new ApiError(
    'conflict',
    'The request was carried out, but its answer is too large to repeat. Look at the desktop.',
  );
