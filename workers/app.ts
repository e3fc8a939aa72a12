import { once } from 'node:events';
import { createsContainers } from '@warmwind/shared/contract/registry';
import { newId } from '@warmwind/shared/ids';
import { MAX_GENERATION_MS, MAX_READING_MS } from '@warmwind/shared/inference';
import { keys } from '@warmwind/shared/keys';
import type { Probes } from '@warmwind/shared/node/health';
import type { Logger } from '@warmwind/shared/node/log';
import type { DrainStep } from '@warmwind/shared/node/shutdown';
import { hostQueues } from '@warmwind/shared/queues';
import { containersOf } from '@warmwind/shared/refs';
import type { Hono } from 'hono';
import { Registry } from 'prom-client';
import { createBoard } from './admin/board.ts';
import { createEndCancelled } from './cancellation/end-container.ts';
import { FollowUp } from './cancellation/follow-up.ts';
import { Cancellations } from './cancellation/subscriber.ts';
import { createHandlers } from './commands/registry.ts';
import type { Config } from './config.ts';
import { Admission } from './containers/admission.ts';
import { Engine } from './containers/engine.ts';
import type { DesktopHost } from './containers/host.ts';
import { Sweep } from './containers/sweep.ts';
import { checkTerminals } from './containers/terminals.ts';
import { scheduleLostHosts } from './hosts/lost.ts';
import { Presence } from './hosts/presence.ts';
import { Models } from './inference/models.ts';
import { Lease } from './leader/lease.ts';
import { createLedgerLeader } from './leader/ledger.ts';
import { Observer } from './leader/observer.ts';
import { renameOldKeys } from './leader/old-keys.ts';
import { publishUnpublished } from './leader/unpublished.ts';
import { createMetrics } from './metrics.ts';
import { createProbes, depthCheck, queuesOf } from './probes.ts';
import type { Handler } from './runtime/delivery.ts';
import { JobWorker, type JobWorkerOptions } from './runtime/worker.ts';
import { ScreenHost } from './screen/host.ts';
import { createScreenMetrics } from './screen/metrics.ts';
import { createSkip } from './skip.ts';
import { createStores } from './stores.ts';
import { Delivery } from './webhooks/delivery.ts';

/** How long a start waits for Redis before it goes on asking in the background, ms. */
const FIRST_CONTACT_MS = 2000;
/** How long commands to this host may still take at shutdown, ms. */
const FINISH_WITHIN_MS = 10_000;

export type App = {
  probes: Probes;
  /** What operators look into the queues with; `undefined` when they have no password. */
  board: Hono | undefined;
  /** One sweep now. */
  sweep: () => Promise<void>;
  /** Begins: work is taken as soon as the host's lease is held. */
  start: () => Promise<void>;
  /** What a shutdown does, in order. */
  drain: DrainStep[];
};

/** A worker without ports: its queues, its host's desktops, its part in watching the fleet. */
export function createApp(config: Config, log: Logger): App {
  const registry = new Registry();
  const metrics = createMetrics(registry, async () => {
    // What can't be read now stays as it was.
    await depths().catch(() => undefined);
  });
  const stores = createStores(config, metrics, log);
  const depths = depthCheck(config, stores, metrics);
  const { queueRedis, promptRedis, records, ledger, queue } = stores;

  const name = config.WORKER_HOST;
  const boot = newId();
  const capacity = { memoryMb: config.HOST_MEMORY_MB, desktops: config.HOST_DESKTOPS };
  void checkTerminals(capacity.desktops, log);
  const engine = new Engine({
    socketPath: config.DOCKER_SOCKET,
    fleet: config.FLEET,
    host: name,
    egressNetwork: config.EGRESS_NETWORK,
    capacity,
    metrics,
    log,
  });
  const presence = new Presence({
    redis: promptRedis,
    host: name,
    memoryMb: capacity.memoryMb,
    leaseMs: config.LEASE_MS,
  });
  const screens = new ScreenHost({
    engine,
    redis: stores.screenRedis,
    subscriber: stores.screenSubscriber,
    metrics: createScreenMetrics(registry),
    log,
  });
  const host: DesktopHost = {
    name,
    boot,
    engine,
    admission: new Admission({ engine, redis: promptRedis, capacity, waitMs: config.HOST_WAIT_MS }),
    records,
    ledger,
    metrics,
    log,
    presence,
    screens,
    queue,
    starting: new Map(),
    removing: new Set(),
  };
  const lease = new Lease({
    redis: promptRedis,
    key: keys.hostLease(name),
    holder: boot,
    ttlMs: config.LEASE_MS,
    log,
    onRenewed: () => presence.renewed(),
    onChange: (held) => {
      metrics.lease.set(held ? 1 : 0);
      log[held ? 'info' : 'warn']({ held }, 'host lease');
      for (const worker of ofHost) held ? worker.run() : worker.pause();
      if (!held) void screens.forgetAll();
    },
  });

  const models = new Models(config, stores, metrics, log);
  const handlers = createHandlers({ host, models });
  const deps = { redis: queueRedis, records, ledger, metrics, log, queue };
  const serve = (
    queueName: string,
    concurrency: number,
    { answers = handlers.inference, ...more }: Partial<JobWorkerOptions> & { answers?: Handler } = {},
  ) => {
    const locks = { lockMs: config.LOCK_MS, stalledEveryMs: config.STALLED_EVERY_MS };
    const options = { queue: queueName, concurrency, handsBack: true, ...locks, ...more };
    return new JobWorker(deps, options, { ...handlers, inference: answers });
  };
  const { limit: max, windowMs: duration } = config.INFERENCE_LIMIT;
  const limiter = { max, duration };
  const placements = serve('containers', config.CONTAINERS_CONCURRENCY);
  const commands = hostQueues(name).map((own) =>
    serve(own, config.COMMANDS_CONCURRENCY, { handsBack: false }),
  );
  const inference = serve('ai-inference', config.INFERENCE_CONCURRENCY, {
    limiter,
    maxAttemptTimeoutMs: MAX_GENERATION_MS,
  });
  const readings = serve('ai-readings', config.READING_CONCURRENCY, {
    limiter,
    attemptTimeoutMs: MAX_READING_MS,
    maxAttemptTimeoutMs: MAX_READING_MS,
    answers: models.reading,
  });
  /** These work on the host's desktops, so only while it is ours. */
  const ofHost = [placements, ...commands];
  /** These any host does, whoever holds its name. */
  const ofAnyHost = [inference, readings];
  const workers = [...ofHost, ...ofAnyHost];

  const endCancelled = createEndCancelled(host);
  const followUp = new FollowUp({
    redis: queueRedis,
    records,
    queue,
    metrics,
    log,
    endUnplaced: (desktop) => endCancelled(desktop, ''),
  });
  const cancellations = new Cancellations(queueRedis, log, (cancelled) => {
    for (const worker of workers) worker.cancel(cancelled);
    void followUp.heard(cancelled);
    if (!createsContainers(cancelled.kind) || !lease.held) return;
    for (const container of containersOf(cancelled)) {
      endCancelled(container, name).catch((error: unknown) =>
        log.warn({ jobId: cancelled.jobId, err: error }, 'not stopped yet'),
      );
    }
  });
  const delivery = new Delivery({
    redis: queueRedis,
    records,
    metrics,
    log,
    secret: config.WEBHOOK_SECRET,
    allow: config.WEBHOOK_ALLOW,
    alertUrl: config.ALERT_WEBHOOK_URL,
  });
  const sweep = new Sweep(host, () => lease.held);
  const observer = new Observer({
    redis: queueRedis,
    prompt: promptRedis,
    records,
    metrics,
    log,
    holder: boot,
    leaseMs: config.LEASE_MS,
    beside: (signal) =>
      Promise.all([
        followUp.lead(signal),
        publishUnpublished({ records, log }, signal),
        renameOldKeys([promptRedis, stores.realtimePrompt], log, signal),
      ]),
  });
  const ledgerLeader =
    ledger &&
    createLedgerLeader({
      redis: promptRedis,
      ledger,
      records,
      queue,
      metrics,
      log,
      holder: boot,
      leaseMs: config.LEASE_MS,
      reconcileEveryMs: config.RECONCILE_EVERY_MS,
      reconcileAfterMs: config.RECONCILE_AFTER_MS,
      retentionDays: config.LEDGER_RETENTION_DAYS,
    });
  let closeCleanup: (() => Promise<unknown>) | undefined;

  const board =
    config.ADMIN_PASSWORD === undefined
      ? undefined
      : createBoard(queuesOf(name), promptRedis, config.ADMIN_PASSWORD);

  return {
    board: board?.app,
    probes: createProbes(config, { registry, stores, engine, lease, models }, depths),
    sweep: () => sweep.once(),
    start: async () => {
      // A prompt connection refuses what comes before it is up.
      const signal = AbortSignal.timeout(FIRST_CONTACT_MS);
      if (promptRedis.status !== 'ready') await once(promptRedis, 'ready', { signal }).catch(() => undefined);
      void stores.migrate();
      lease.start();
      models.start();
      for (const worker of ofAnyHost) worker.run();
      cancellations.start();
      observer.start();
      ledgerLeader?.start();
      sweep.start();
      delivery.start();
      screens.start();
      const { LOST_AFTER_MS: lostAfterMs } = config;
      const skip = createSkip(log, 'lost-hosts', metrics);
      const options = { redis: queueRedis, records, presence, queue, lostAfterMs, skip, log };
      closeCleanup = scheduleLostHosts(options);
    },
    drain: [
      {
        name: 'queues',
        withinMs: FINISH_WITHIN_MS,
        run: () =>
          Promise.all([
            models.withdraw(),
            ...workers.map((worker) => worker.close()),
            delivery.close(),
            closeCleanup?.(),
            sweep.close(),
          ]),
      },
      { name: 'models', withinMs: 3000, run: () => models.close() },
      {
        name: 'desktops',
        withinMs: 5000,
        // A last sweep: what runs here is known to run before peers may take it for a start that died.
        run: () =>
          Promise.all([
            ...host.removing,
            sweep
              .once()
              .catch((error: unknown) => log.warn({ err: error }, 'no last sweep'))
              .finally(() => screens.close()),
          ]),
      },
      {
        name: 'leases',
        withinMs: 4000,
        run: () =>
          Promise.all([observer.close(), ledgerLeader?.close(), lease.release(), cancellations.close()]),
      },
      {
        name: 'redis',
        withinMs: 3000,
        run: async () => {
          await board?.close();
          await stores.closeRedis();
        },
      },
      { name: 'ledger', withinMs: 2000, run: () => stores.closeLedger() },
    ],
  };
}
