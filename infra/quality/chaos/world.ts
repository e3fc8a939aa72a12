import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newId } from '@warmwind/shared/contract/ids';
import type Docker from 'dockerode';
import { buildEdge } from '../../../edge/build.ts';
import { LABELS } from '../../../workers/containers/spec.ts';
import { startEdge } from '../../local/edge/serve.ts';
import { AUTH_SECRET, WEBHOOK_SECRET } from '../../local/edge/testing.ts';
import { TOKEN } from '../../local/gateway/testing.ts';
import { startEngine } from '../testing/docker.ts';
import { type OwnEngine, startOwnEngine } from '../testing/own-engine.ts';
import { startPooler, type TestPooler } from '../testing/pooler.ts';
import { startPostgres, type TestPostgres } from '../testing/postgres.ts';
import { startRedis, type TestRedis } from '../testing/redis.ts';
import { type EngineWatch, watchEngine } from './engine-events.ts';
import { ensureQuietImage } from './image.ts';
import { type Service, startService } from './processes.ts';
import { type QueueRedis, startSingleQueue, startWatchedQueue } from './queue.ts';
import { type Receiver, startReceiver } from './receiver.ts';

const HOSTS = ['host-a', 'host-b'];
/** Only faults may refuse a submission. */
const UNLIMITED = JSON.stringify({ user: [], ip: [], 'containers.start': [] });
const UNBOUND = { INFERENCE_LIMIT: '100000/min', INFERENCE_CONCURRENCY: '16' };
const LOOPBACK = '127.0.0.1/32';
const QUOTAS = JSON.stringify({ jobs: 100_000, desktops: 10_000 });
/** Shorter than in production, so that a run does not wait; the invariants do not depend on them. */
const SOONER = { LEASE_MS: '4000', RECONCILE_EVERY_MS: '2000', RECONCILE_AFTER_MS: '5000' };
/** A killed worker is always restarted, however slow the machine: its desktops must not become lost. */
const NEVER_LOST = { LOST_AFTER_MS: '600000' };

/** A complete system of real parts, on loopback. */
export type World = {
  fleet: string;
  docker: Docker;
  /** The URL of the edge. */
  url: string;
  edgeLines: string[];
  queue: QueueRedis;
  realtime: TestRedis;
  postgres: TestPostgres;
  /** Between the edge and PostgreSQL. */
  pooler: TestPooler;
  gateway: Service;
  relay: Service;
  /** Receives webhooks and alerts. */
  receiver: Receiver;
  workers: Service[];
  watch: EngineWatch;
  /** Lists the engine containers of this fleet. */
  containers: () => Promise<Docker.ContainerInfo[]>;
  /** The engine, when it is the world's own. */
  engine: OwnEngine | undefined;
  stop: () => Promise<void>;
};

type WorldOptions = {
  seed: number;
  /** With a replica of the queue Redis, and Sentinels. */
  watched: boolean;
  /** With an engine of its own, which may be killed, and desktops with a screen. */
  ownEngine?: { liveRestore: boolean };
  /** Instances that each host keeps ready. */
  pooled?: number;
};

export async function startWorld(options: WorldOptions): Promise<World> {
  const undo: (() => unknown)[] = [];
  const stop = async () => {
    const failed: unknown[] = [];
    for (const step of undo.splice(0).reverse()) {
      try {
        await step();
      } catch (error) {
        failed.push(error);
      }
    }
    if (failed.length > 0) throw new AggregateError(failed, 'the world did not stop cleanly');
  };
  try {
    return await build(options, undo, stop);
  } catch (error) {
    await stop();
    throw error;
  }
}

async function build(
  { seed, watched, ownEngine, pooled = 0 }: WorldOptions,
  undo: (() => unknown)[],
  stop: World['stop'],
): Promise<World> {
  const kept = <T extends { stop: () => unknown }>(part: T): T => {
    undo.push(part.stop);
    return part;
  };
  const fleet = `chaos-${newId().slice(0, 8)}`;
  const machine = await startEngine();
  const engine = ownEngine && kept(await startOwnEngine(ownEngine));
  await engine?.load(machine.docker, machine.image);
  const { docker, socket } = engine ?? machine;
  const [image, queue, realtime, postgres, receiver] = await all(
    engine ? Promise.resolve(machine.image) : ensureQuietImage(docker),
    (watched ? startWatchedQueue() : startSingleQueue()).then(kept),
    startRedis().then(kept),
    startPostgres({ migrated: true }).then(kept),
    startReceiver(seed).then(kept),
  );

  const pooler = await startPooler(postgres.url).then(kept);
  const redisUrls = { REDIS_QUEUE_URL: queue.url, REDIS_REALTIME_URL: realtime.url };
  const relay = await startService('relay', 'relay/main.ts', {
    ...redisUrls,
    LEDGER_URL: postgres.url,
    AUTH_SECRET,
  });
  undo.push(() => relay.end('SIGKILL'));
  const gateway = await startService('gateway', 'infra/local/gateway/main.ts', {
    REDIS_URL: queue.url,
    GATEWAY_TOKEN: TOKEN,
  });
  undo.push(() => gateway.end('SIGKILL'));
  const dir = join(process.env.WARMWIND_TEST_DIR ?? tmpdir(), `chaos-edge-${newId()}`);
  undo.push(() => rm(dir, { recursive: true, force: true }));
  const edgeLines: string[] = [];
  const edge = await startEdge({
    bundle: await buildEdge(dir),
    bindings: {
      UPSTASH_REDIS_REST_URL: gateway.url,
      UPSTASH_REDIS_REST_TOKEN: TOKEN,
      AUTH_SECRET,
      WEBHOOK_SECRET,
      WEBHOOK_ALLOW: LOOPBACK,
      RELAY_URL: relay.url,
      RATE_LIMITS: UNLIMITED,
      QUOTAS,
      DESKTOP_IMAGES: JSON.stringify({ quiet: image }),
      // One machine that runs all parts is slower than an edge.
      LIMITER_TIMEOUT_MS: '1500',
      SUBMIT_TIMEOUT_MS: '3000',
    },
    hyperdrives: { LEDGER_DB: pooler.url },
    onLine: (line) => edgeLines.push(line),
  });
  undo.push(edge.stop);

  const watch = await watchEngine(docker, fleet, engine !== undefined);
  undo.push(watch.stop);
  const filters = { label: [`${LABELS.fleet}=${fleet}`] };
  const containers = () => docker.listContainers({ all: true, filters });
  undo.push(async () => {
    // An engine of the world's own removes all that it has.
    if (engine) return;
    for (const { Id } of await containers()) await docker.getContainer(Id).remove({ force: true, v: true });
    const { Volumes } = await docker.listVolumes({ filters });
    for (const { Name } of Volumes ?? []) await docker.getVolume(Name).remove();
  });
  const workers = await all(
    ...HOSTS.map(async (host) => {
      const worker = await startService(host, 'workers/main.ts', {
        ...redisUrls,
        LEDGER_URL: postgres.url,
        DOCKER_SOCKET: socket,
        FLEET: fleet,
        WORKER_HOST: host,
        WEBHOOK_SECRET,
        WEBHOOK_ALLOW: LOOPBACK,
        ALERT_WEBHOOK_URL: `${receiver.url}/alerts`,
        ...UNBOUND,
        ...SOONER,
        ...NEVER_LOST,
        DESKTOP_IMAGES: JSON.stringify({ quiet: image }),
        WARM_POOL: JSON.stringify({ quiet: pooled }),
      });
      undo.push(() => worker.end('SIGKILL'));
      return worker;
    }),
  );
  return {
    fleet,
    docker,
    url: edge.url,
    edgeLines,
    queue,
    realtime,
    postgres,
    pooler,
    gateway,
    relay,
    receiver,
    workers,
    watch,
    containers,
    engine,
    stop,
  };
}

/** Like `Promise.all`, but rejects only once every part has settled: each started part can be stopped. */
async function all<T extends unknown[]>(...parts: { [K in keyof T]: Promise<T[K]> }): Promise<T> {
  await Promise.allSettled(parts);
  return Promise.all(parts) as Promise<T>;
}
