import { newId } from '@warmwind/shared/contract/ids';
import { keys } from '@warmwind/shared/engine/keys';
import { jsonText } from '@warmwind/shared/runtime/json';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import { runScript } from '@warmwind/shared/runtime/node/script';
import { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import { releaseLease } from '../leader/lease.lua.ts';
import type { Metrics } from '../metrics.ts';
import { declareDead, endRecovery, expireLocks, jobPrefix, keepRecovery } from './liveness.lua.ts';
import { ProcessRecord } from './protocol.ts';
import { tokenPrefix } from './queue-worker.ts';

/** How long one process recovers a dead one before another tries, ms. */
const CLAIM_MS = 3000;
/** How long a dead process is remembered, ms: its placements may be met until then. */
const KEPT_MS = 3_600_000;

export type RecoveryOptions = {
  /** A fail-fast connection to the queue Redis. */
  redis: Redis;
  /** The interval of BullMQ's own check for stalled jobs, ms. */
  stalledEveryMs: number;
  metrics: Pick<Metrics, 'workerDeaths' | 'jobsMoved'>;
  log: Logger;
};

/**
 * Recovers dead processes: releases their leases and moves their active jobs back to their queues, where they
 * wait before all others. No attempt is spent; BullMQ counts the death, and fails a job after too many. Each
 * step compares before it changes anything, so several processes may recover the same one.
 */
export class Recovery {
  readonly #o: RecoveryOptions;
  readonly #running = new Set<string>();

  constructor(options: RecoveryOptions) {
    this.#o = options;
  }

  /** Recovers each of these processes that is still overdue and that no peer recovers. Never rejects. */
  async recover(boots: readonly string[]): Promise<void> {
    for (const boot of boots) {
      if (this.#running.has(boot)) continue;
      this.#running.add(boot);
      await this.#one(boot)
        .catch((error: unknown) =>
          this.#o.log.warn({ boot, err: error }, 'dead worker not recovered: retried'),
        )
        .finally(() => this.#running.delete(boot));
    }
  }

  async #one(boot: string): Promise<void> {
    const { redis, metrics, log } = this.#o;
    const claim = { boot, claim: newId() };
    const declared = { ...claim, claimMs: CLAIM_MS, keptMs: KEPT_MS };
    const [verdict, text] = await runScript(redis, declareDead, boot, declared);
    if (verdict !== 'claimed') return;
    const isMine = async () =>
      (await runScript(redis, keepRecovery, boot, { ...claim, claimMs: CLAIM_MS })) === 1;
    const { data: record } = jsonText(ProcessRecord).safeParse(text ?? '');
    const leases = [
      keys.observerLease(),
      keys.ledgerLease(),
      ...(record ? [keys.hostLease(record.host)] : []),
    ];
    // Before its jobs: a peer that continues a start asks whether its process lives.
    for (const key of leases) {
      if (!(await isMine())) return;
      await runScript(redis, releaseLease, { key }, { holder: boot });
    }
    let moved = 0;
    for (const [queue, deaths] of Object.entries(record?.queues ?? {})) {
      if (!(await isMine())) return;
      const jobs = await this.#move(boot, queue, deaths);
      if (jobs > 0) metrics.jobsMoved.inc({ queue }, jobs);
      moved += jobs;
    }
    if ((await runScript(redis, endRecovery, boot, claim)) !== 1) return;
    metrics.workerDeaths.inc();
    log.warn(
      { boot, deadHost: record?.host, moved },
      'worker process dead: its jobs and leases were released',
    );
  }

  /**
   * Moves the active jobs of a process back to their queue.
   * @param deaths how many deaths of workers a job of this queue survives
   * @returns how many
   */
  async #move(boot: string, name: string, deaths: number): Promise<number> {
    const { redis, stalledEveryMs } = this.#o;
    const held = await runScript(redis, expireLocks, name, {
      jobs: jobPrefix(name),
      tokens: tokenPrefix(boot),
    });
    if (held === 0) return 0;
    // The options of a worker, which the check for stalled jobs reads.
    const checks = { maxStalledCount: deaths, stalledInterval: stalledEveryMs };
    const options = { connection: redis, prefix: keys.bullmqPrefix(name), skipMetasUpdate: true, ...checks };
    const queue = new Queue(name, options);
    queue.on('error', () => undefined);
    try {
      await queue.backend.moveStalledJobsToWait();
    } finally {
      await queue.close();
    }
    return held;
  }
}
