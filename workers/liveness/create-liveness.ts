import type { Logger } from '@warmwind/shared/runtime/node/log';
import { withTimeout } from '@warmwind/shared/runtime/timeout';
import type { Config } from '../config.ts';
import type { Parts } from '../lifecycle.ts';
import { queuesOf } from '../probes.ts';
import { MAX_DEATHS } from '../runtime/worker.ts';
import { WEBHOOK_DEATHS } from '../webhooks/delivery.ts';
import { Liveness, type LivenessHandlers } from './liveness.ts';

/** Time that the jobs which peers took have to stop before this process takes part again, ms. */
const DROP_WITHIN_MS = 5000;

/** Creates the beats of this process. */
export function createLiveness(config: Config, boot: string, log: Logger): Liveness {
  const deaths = (queue: string) => (queue === 'webhooks' ? WEBHOOK_DEATHS : MAX_DEATHS);
  const queues = queuesOf(config.WORKER_HOST).map((queue) => [queue, deaths(queue)]);
  return new Liveness({
    url: config.REDIS_QUEUE_URL,
    boot,
    record: { host: config.WORKER_HOST, queues: Object.fromEntries(queues) },
    deadAfterMs: config.DEAD_AFTER_MS,
    log,
  });
}

/** Recovers dead peers, and stops acting when peers declared this process dead. */
export function createLivenessHandlers(parts: Parts): LivenessHandlers {
  const { recovery, lease, leaders, workers, metrics } = parts;
  return {
    onOverdue: (boots) => void recovery.recover(boots),
    onDead: async () => {
      metrics.declaredDead.inc();
      // Its loss closes the screens, calls and sessions of this host.
      lease.drop();
      leaders.observer.drop();
      leaders.ledger?.drop();
      const dropped = Promise.all(workers.all.map((worker) => worker.drop()));
      await withTimeout(dropped, DROP_WITHIN_MS, () => undefined);
    },
    onAlive: () => {
      for (const worker of workers.ofAnyHost) worker.run();
    },
  };
}
