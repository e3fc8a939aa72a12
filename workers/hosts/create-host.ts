import { keys } from '@warmwind/shared/engine/keys';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import type { Registry } from 'prom-client';
import { Claims } from '../calls/claims.ts';
import { CallHost } from '../calls/host.ts';
import { OpenCalls } from '../calls/open-calls.ts';
import { Replies } from '../calls/replies.ts';
import { type CallContext, createCallRoutes, createSessionHandlers } from '../commands/registry.ts';
import type { Config } from '../config.ts';
import { Admission } from '../containers/admission.ts';
import { Engine } from '../containers/engine.ts';
import type { DesktopHost } from '../containers/host.ts';
import { Volumes } from '../containers/volumes.ts';
import type { Gpus } from '../gpu/nvidia.ts';
import { Lease } from '../leader/lease.ts';
import type { Metrics } from '../metrics.ts';
import { resumeDesktop } from '../pauses/pause.ts';
import { Pauses } from '../pauses/pauses.ts';
import { createOffer } from '../placement/create-offer.ts';
import { createPool } from '../pool/create-pool.ts';
import type { JobWorker } from '../runtime/worker.ts';
import { ScreenHost } from '../screen/host.ts';
import { createScreenMetrics } from '../screen/metrics.ts';
import { SessionHost } from '../sessions/host.ts';
import type { Stores } from '../stores.ts';
import { Supervisors } from '../supervisor/supervisors.ts';
import { createUsageMetrics } from '../usage/metrics.ts';
import { Usages } from '../usage/usages.ts';
import { Presence } from './presence.ts';

export type HostOptions = {
  config: Config;
  /** The boot id of this process. */
  boot: string;
  /** Whether this process may act for its host now. */
  mayAct: () => boolean;
  stores: Stores;
  registry: Registry;
  metrics: Metrics;
  /** The GPUs of this machine. */
  gpus: Pick<Gpus, 'all' | 'wereRead'>;
  log: Logger;
};

/** Creates the part of a host that takes calls for its containers. */
function createCallHost(
  { boot, mayAct, stores, log }: HostOptions,
  pauses: Pauses,
  context: Omit<CallContext, 'openCalls'>,
): CallHost {
  const open = new OpenCalls();
  return new CallHost({
    open,
    routes: createCallRoutes({ ...context, openCalls: open }),
    claims: new Claims({ redis: stores.realtimeFailFast, holder: boot, log }),
    replies: new Replies(stores.callRedis, log),
    subscriber: stores.callSubscriber,
    onCall: (containerId) => context.screens.use(containerId),
    awake: (ref, signal) => pauses.awake(ref, signal),
    mayAct,
    log,
  });
}

const createEngine = ({ config, metrics, log }: HostOptions): Engine =>
  new Engine({
    socketPath: config.DOCKER_SOCKET,
    fleet: config.FLEET,
    host: config.WORKER_HOST,
    egressNetwork: config.EGRESS_NETWORK,
    capacity: { memoryMb: config.HOST_MEMORY_MB, desktops: config.HOST_DESKTOPS },
    metrics,
    log,
  });

/** Creates this process's host: its engine, its capacity, its screens, calls and sessions. */
export function createHost(options: HostOptions): DesktopHost {
  const { config, boot, mayAct, stores, registry, metrics, log } = options;
  const { failFastRedis, records, reservations, waiting, ledger, queue } = stores;
  const name = config.WORKER_HOST;
  const engine = createEngine(options);
  const offer = createOffer(options, engine);
  const admission = new Admission({
    engine,
    redis: failFastRedis,
    reservations,
    waiting,
    offer,
    host: name,
    waitMs: config.HOST_WAIT_MS,
    log,
  });
  const pauses = new Pauses({
    resume: async (ref) => {
      await resumeDesktop(host, ref, 'idle');
    },
    onFailed: (containerId, err) => log.warn({ err, containerId }, 'idle desktop not resumed: it is retried'),
  });
  const supervisors = new Supervisors(engine, pauses);
  const starting: DesktopHost['starting'] = new Map();
  const usages = new Usages({ supervisors, engine, log });
  createUsageMetrics(registry, usages);
  const screens = new ScreenHost({
    engine,
    redis: stores.screenRedis,
    subscriber: stores.screenSubscriber,
    pauses,
    metrics: createScreenMetrics(registry),
    mayAct,
    log,
  });
  const host: DesktopHost = {
    name,
    boot,
    engine,
    offer,
    admission,
    pool: createPool(config, { engine, admission, starting, queue, metrics, log }),
    volumes: new Volumes({ ledger, host: name, log }),
    records,
    ledger,
    metrics,
    log,
    presence: new Presence({
      redis: failFastRedis,
      host: name,
      memoryMb: config.HOST_MEMORY_MB,
      offer,
      leaseMs: config.LEASE_MS,
    }),
    pauses,
    screens,
    sessions: new SessionHost({
      engine,
      redis: stores.sessionRedis,
      subscriber: stores.sessionSubscriber,
      handlers: createSessionHandlers({ screens, supervisors, redis: stores.realtimeFailFast }),
      onUse: (containerId) => screens.use(containerId),
      awake: (ref) => pauses.awake(ref),
      mayAct,
      log,
    }),
    calls: createCallHost(options, pauses, { screens, supervisors, records, usages }),
    supervisors,
    queue,
    starting,
    removing: new Set(),
  };
  return host;
}

export type HostLeaseOptions = {
  config: Config;
  stores: Stores;
  host: DesktopHost;
  /** Whether this process may hold the lease now. */
  mayHold: () => boolean;
  /** The workers of the host's queues: they take jobs only while the lease is held. */
  workers: JobWorker[];
};

/** Creates the lease of a host's name. Its holder alone acts for the host. */
export function createHostLease({ config, stores, host, mayHold, workers }: HostLeaseOptions): Lease {
  const { metrics, log, presence, pool, screens, calls, sessions, supervisors, pauses } = host;
  return new Lease({
    redis: stores.failFastRedis,
    key: keys.hostLease(host.name),
    holder: host.boot,
    ttlMs: config.LEASE_MS,
    mayHold,
    log,
    onRenewed: () => presence.renewed(),
    onChange: (held) => {
      metrics.lease.set(held ? 1 : 0);
      log[held ? 'info' : 'warn']({ held }, 'host lease');
      pool.setOpen(held);
      for (const worker of workers) held ? worker.run() : worker.pause();
      if (held) return;
      void screens.forgetAll();
      sessions.forgetAll();
      calls.forgetAll();
      supervisors.forgetAll();
      pauses.forgetAll();
    },
  });
}
