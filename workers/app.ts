import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import type { Check } from '@warmwind/shared/health';
import { newId } from '@warmwind/shared/ids';
import { OCR_MODEL } from '@warmwind/shared/inference';
import { keys } from '@warmwind/shared/keys';
import { readLag } from '@warmwind/shared/ledger/reads';
import { readDepths } from '@warmwind/shared/node/depths';
import { diskCheck, liveChecks, type Probes, redisCheck } from '@warmwind/shared/node/health';
import { Ledger } from '@warmwind/shared/node/ledger';
import type { Logger } from '@warmwind/shared/node/log';
import { Publisher } from '@warmwind/shared/node/publisher';
import { Records } from '@warmwind/shared/node/records';
import { connectPatient, connectPrompt, disconnect } from '@warmwind/shared/node/redis';
import type { DrainStep } from '@warmwind/shared/node/shutdown';
import { hostQueue, QUEUES } from '@warmwind/shared/queues';
import { Queue } from 'bullmq';
import type { Hono } from 'hono';
import { Registry } from 'prom-client';
import { createBoard } from './admin/board.ts';
import type { Config } from './config.ts';
import { createEndCancelled } from './containers/cancelled.ts';
import { Engine } from './containers/engine.ts';
import type { DesktopHost } from './containers/host.ts';
import { createStart } from './containers/start.ts';
import { createStop } from './containers/stop.ts';
import { Sweep } from './containers/sweep.ts';
import { Gpus } from './gpu/nvidia.ts';
import { Lease } from './hosts/lease.ts';
import { scheduleLostHosts } from './hosts/lost.ts';
import { Presence } from './hosts/presence.ts';
import { createGeneration } from './inference/generation/generation.ts';
import { ModelServers } from './inference/generation/servers.ts';
import { Turns } from './inference/generation/turns.ts';
import { createInference } from './inference/inference.ts';
import { createReaders, createReading } from './inference/reading/reading.ts';
import { Served } from './inference/served.ts';
import { Cancellations } from './jobs/cancellations.ts';
import { FollowUp } from './jobs/followup.ts';
import { Observer } from './jobs/observer.ts';
import { JobWorker, type JobWorkerOptions } from './jobs/worker.ts';
import { createLedgerLeader } from './ledger/leader.ts';
import { createMetrics } from './metrics.ts';
import { ScreenHost } from './screen/host.ts';
import { createScreenMetrics } from './screen/metrics.ts';
import { Delivery } from './webhooks/delivery.ts';
import { createNotify } from './webhooks/notify.ts';

/** How long a start waits for Redis before it goes on asking in the background, ms. */
const FIRST_CONTACT_MS = 2000;
/** How long Redis may take for a frame: a key frame is large, ms. */
const SCREEN_WITHIN_MS = 4000;
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
  const metrics = createMetrics(registry, () =>
    depths().then(
      () => undefined,
      () => undefined,
    ),
  );
  const queueRedis = connectPatient(config.REDIS_QUEUE_URL, 'worker', log);
  const promptRedis = connectPrompt(config.REDIS_QUEUE_URL, 'worker-prompt', log);
  const realtimeRedis = connectPatient(config.REDIS_REALTIME_URL, 'worker-events', log);
  const realtimeProbe = connectPrompt(config.REDIS_REALTIME_URL, 'worker-probe', log);
  const screenRedis = connectPrompt(config.REDIS_REALTIME_URL, 'worker-screens', log, SCREEN_WITHIN_MS);
  const screenSubscriber = connectPatient(config.REDIS_REALTIME_URL, 'worker-screens-up', log);
  const publisher = new Publisher(realtimeRedis, log, (events) => metrics.eventsDropped.inc(events));
  const ledger =
    config.LEDGER_URL && config.LEDGER === 'on' ? new Ledger(config.LEDGER_URL, 'worker', log) : undefined;
  const notify = createNotify(() => queue('webhooks'), config.ALERT_WEBHOOK_URL !== undefined);
  const records = new Records(queueRedis, publisher, ledger, notify);

  const queues = new Map<string, Queue>();
  const queue = (name: string): Queue => {
    const known = queues.get(name);
    if (known) return known;
    const made = new Queue(name, { connection: queueRedis, prefix: keys.bull(name) });
    made.on('error', (error) => log.warn({ queue: name, err: error }, 'queue'));
    queues.set(name, made);
    return made;
  };

  const name = config.WORKER_HOST;
  const boot = newId();
  const engine = new Engine({
    socketPath: config.DOCKER_SOCKET,
    fleet: config.FLEET,
    host: name,
    egressNetwork: config.EGRESS_NETWORK,
    metrics,
  });
  const presence = new Presence({ redis: promptRedis, host: name, leaseMs: config.LEASE_MS });
  const screens = new ScreenHost({
    engine,
    redis: screenRedis,
    subscriber: screenSubscriber,
    metrics: createScreenMetrics(registry),
    log,
  });
  const host: DesktopHost = {
    name,
    boot,
    engine,
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

  const readers = createReaders(
    Math.min(config.INFERENCE_CONCURRENCY, availableParallelism()),
    config.SANDBOX_MEMORY_MB,
  );
  const servers = new ModelServers({
    urls: config.MODEL_SERVERS,
    key: config.MODEL_SERVER_KEY,
    maxWaiting: config.MODEL_MAX_WAITING,
    log,
    onPolled: (states) => {
      for (const [state, count] of Object.entries(states)) metrics.modelServers.set({ state }, count);
    },
  });
  const gpus = new Gpus(log, metrics);
  const served = new Served({
    redis: promptRedis,
    host: name,
    models: () => [OCR_MODEL, ...servers.models()],
    loading: () => servers.loading(),
    log,
  });
  const handlers = {
    'container.start': createStart(host),
    'container.stop': createStop(host),
    inference: createInference(records, {
      reading: createReading(readers),
      generation: createGeneration({
        servers,
        served,
        records,
        metrics,
        turns: new Turns(promptRedis, 'ai-inference', config.INFERENCE_LIMIT.windowMs),
        idleMs: config.MODEL_IDLE_MS,
        waitMs: config.MODEL_WAIT_MS,
      }),
    }),
  };
  const deps = { redis: queueRedis, records, ledger, metrics, log, queue };
  const serve = (queueName: string, concurrency: number, more: Partial<JobWorkerOptions> = {}) => {
    const locks = { lockMs: config.LOCK_MS, stalledEveryMs: config.STALLED_EVERY_MS };
    const options = { queue: queueName, concurrency, handsBack: true, ...locks, ...more };
    return new JobWorker(deps, options, handlers);
  };
  const { limit: max, windowMs: duration } = config.INFERENCE_LIMIT;
  const placements = serve('containers', config.CONTAINERS_CONCURRENCY);
  const commands = serve(hostQueue(name), config.COMMANDS_CONCURRENCY, { handsBack: false });
  const inference = serve('ai-inference', config.INFERENCE_CONCURRENCY, { limiter: { max, duration } });
  /** These work on the host's desktops, so only while it is ours. */
  const ofHost = [placements, commands];
  const workers = [...ofHost, inference];

  const endCancelled = createEndCancelled(host);
  const followUp = new FollowUp({
    redis: queueRedis,
    records,
    queue,
    log,
    endUnplaced: (desktop) => endCancelled(desktop, ''),
  });
  const cancellations = new Cancellations(queueRedis, log, (cancelled) => {
    for (const worker of workers) worker.cancel(cancelled);
    void followUp.heard(cancelled);
    if (cancelled.kind !== 'container.start' || !lease.held) return;
    endCancelled(cancelled, name).catch((error: unknown) =>
      log.warn({ jobId: cancelled.jobId, err: error }, 'not stopped yet'),
    );
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
    beside: (signal) => followUp.lead(signal),
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
  const migrating = new AbortController();
  let closeCleanup: (() => Promise<unknown>) | undefined;

  const depths: Check = async () => {
    const found = await readDepths(promptRedis, [...QUEUES, hostQueue(name)], config.BACKPRESSURE_ABOVE);
    for (const [queueName, depth] of Object.entries(found)) metrics.depth(queueName, depth);
    return found;
  };

  const board =
    config.ADMIN_PASSWORD === undefined
      ? undefined
      : createBoard([...QUEUES, hostQueue(name)], promptRedis, config.ADMIN_PASSWORD);

  return {
    board: board?.app,
    probes: {
      registry,
      live: liveChecks(),
      ready: {
        redisQueue: redisCheck(promptRedis),
        redisRealtime: redisCheck(realtimeProbe),
        docker: async () => {
          await engine.ping();
          return {};
        },
        disk: diskCheck(config.DATA_DIR),
        queues: depths,
        models: async () => {
          const states = servers.states();
          if (config.MODEL_SERVERS.length > 0 && states.up + states.loading === 0) {
            throw new Error('no model server answers: see that MODEL_SERVERS run and can be reached');
          }
          return { servers: states, served: servers.models().length, gpus: gpus.all };
        },
        ...(ledger && {
          ledger: async () => {
            await ledger.run(readLag).catch((cause: unknown) => {
              throw new Error('PostgreSQL is away: see that it runs and can be reached', { cause });
            });
            return {};
          },
        }),
        lease: async () => {
          if (!lease.held) throw new Error('another process holds this host name, or Redis does not answer');
          return { host: name };
        },
      },
    },
    sweep: () => sweep.once(),
    start: async () => {
      // A prompt connection refuses what comes before it is up.
      const signal = AbortSignal.timeout(FIRST_CONTACT_MS);
      if (promptRedis.status !== 'ready') await once(promptRedis, 'ready', { signal }).catch(() => undefined);
      // What needs the ledger before it is there waits by itself.
      void ledger?.migrate(migrating.signal);
      lease.start();
      servers.start();
      gpus.start();
      served.start();
      inference.run();
      cancellations.start();
      observer.start();
      ledgerLeader?.start();
      sweep.start();
      delivery.start();
      screens.start();
      const { LOST_AFTER_MS: lostAfterMs } = config;
      closeCleanup = scheduleLostHosts({ redis: queueRedis, records, presence, queue, lostAfterMs, log });
    },
    drain: [
      {
        name: 'queues',
        withinMs: FINISH_WITHIN_MS,
        run: () =>
          Promise.all([
            served.close(),
            ...workers.map((worker) => worker.close()),
            delivery.close(),
            closeCleanup?.(),
            sweep.close(),
          ]),
      },
      {
        name: 'models',
        withinMs: 3000,
        run: () => Promise.all([readers.close(), servers.close(), gpus.close()]),
      },
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
          publisher.close();
          await Promise.all([...queues.values()].map((made) => made.close()));
          await board?.close();
          const all = [queueRedis, promptRedis, realtimeRedis, realtimeProbe, screenRedis, screenSubscriber];
          await Promise.all(all.map((redis) => disconnect(redis)));
        },
      },
      {
        name: 'ledger',
        withinMs: 2000,
        run: async () => {
          migrating.abort();
          await ledger?.close();
        },
      },
    ],
  };
}
