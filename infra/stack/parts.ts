import { mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { readConfig as readEdgeConfig } from '../../edge/config.ts';
import { readConfig as readRelayConfig } from '../../relay/config.ts';
import { readConfig as readWorkerConfig } from '../../workers/config.ts';
import { asBindings, hyperdriveUrls, parseHyperdrive } from '../edge/hyperdrive.ts';
import { Config as GatewayConfig } from '../gateway/config.ts';
import { readConfig as readModelServerConfig } from '../model-server/config.ts';
import { nginxConfig } from '../nginx/config.ts';
import { DATABASE } from '../postgres/cluster.ts';
import type { Ports, ReservedPort } from './ports.ts';
import { postgresAnswers } from './postgres.ts';
import { listensOn } from './processes.ts';
import { queueArgs, realtimeArgs, redisAnswers, writeRedisConfig } from './redis.ts';
import type { Secrets } from './secrets.ts';
import type { Settings } from './settings.ts';
import type { StateDir } from './state.ts';
import type { Part } from './supervisor.ts';

export const WORKER_HOSTS = ['worker-1', 'worker-2'];
const READY_WITHIN_MS = 30_000;
/** The first start makes the data; one after a crash replays what was not yet in its place. */
const POSTGRES_READY_WITHIN_MS = 120_000;
/** A large model takes its time to be read. */
const MODEL_READY_WITHIN_MS = 600_000;
/** What an orchestrator gives on top of a service's own bound before it kills. */
const KILL_GRACE_MS = 5000;

export type PartsContext = {
  root: string;
  dir: StateDir;
  settings: Settings;
  secrets: Secrets;
  ports: Ports;
  /** Paths of installed programs. */
  redisServer: string;
  nginx: string | undefined;
};

/** Where everything answers. Without nginx the edge and the first relay node stand for themselves. */
export function stackUrls(context: Pick<PartsContext, 'ports' | 'nginx' | 'settings' | 'secrets'>) {
  const { ports, nginx, settings, secrets } = context;
  const http = ({ port }: ReservedPort) => `http://127.0.0.1:${port}`;
  const redis = ({ port }: ReservedPort) => `redis://:${secrets.redisPassword}@127.0.0.1:${port}`;
  return {
    edge: http(nginx ? ports.EDGE_PORT : ports.EDGE_DIRECT_PORT),
    relay: http(nginx ? ports.RELAY_PORT : ports.RELAY_1_PORT),
    relays: [http(ports.RELAY_1_PORT), http(ports.RELAY_2_PORT)],
    workers: [http(ports.WORKER_1_PORT), http(ports.WORKER_2_PORT)],
    admins: [http(ports.WORKER_1_ADMIN_PORT), http(ports.WORKER_2_ADMIN_PORT)],
    gateway: http(ports.GATEWAY_PORT),
    edgeDirect: http(ports.EDGE_DIRECT_PORT),
    modelServer: settings.MODEL_SERVER === 'on' ? http(ports.MODEL_SERVER_PORT) : undefined,
    redisQueue: redis(ports.REDIS_QUEUE_PORT),
    redisRealtime: redis(ports.REDIS_REALTIME_PORT),
    ledger: ledgerUrl(context),
  };
}

/** With its password; `undefined` when the ledger is off. */
function ledgerUrl({ ports, settings, secrets }: Pick<PartsContext, 'ports' | 'settings' | 'secrets'>) {
  if (settings.LEDGER === 'off') return undefined;
  const own = `postgres://${DATABASE}:${secrets.ledgerPassword}@127.0.0.1:${ports.LEDGER_PORT.port}/${DATABASE}`;
  return settings.LEDGER_URL ?? own;
}

/** Every part, ready to be started. Throws when a part would refuse its environment. */
export function planParts(context: PartsContext) {
  const { root, dir, settings, secrets, ports } = context;
  const urls = stackUrls(context);
  const redisUrls = { REDIS_QUEUE_URL: urls.redisQueue, REDIS_REALTIME_URL: urls.redisRealtime };
  const previous: Record<string, string> = settings.AUTH_SECRET_PREVIOUS
    ? { AUTH_SECRET_PREVIOUS: settings.AUTH_SECRET_PREVIOUS }
    : {};
  const auth: Record<string, string> = { AUTH_SECRET: secrets.authSecret, ...previous };
  const ledger: Record<string, string> = urls.ledger
    ? { LEDGER: 'on', LEDGER_URL: urls.ledger }
    : { LEDGER: 'off' };
  const replica: Record<string, string> =
    urls.ledger && settings.LEDGER_READ_URL ? { LEDGER_READ_URL: settings.LEDGER_READ_URL } : {};
  const models = modelSettings(urls.modelServer, settings.inherited);
  const edgePort = new URL(urls.edge).port;
  /** Pages of the edge itself may call it, its API's documentation first of all. */
  const cors = {
    CORS_ORIGINS:
      settings.inherited.CORS_ORIGINS ?? `http://127.0.0.1:${edgePort},http://localhost:${edgePort}`,
  };

  const consoleOrigins = { EDGE_ORIGINS: `http://127.0.0.1:${edgePort}` };

  const service = (
    name: string,
    what: string,
    port: ReservedPort,
    main: string,
    own: Record<string, string>,
    judge: (env: Record<string, string>) => unknown,
  ): Part => {
    const env = { ...settings.inherited, BIND: '127.0.0.1', PORT: `${port.port}`, ...own };
    judge(env);
    const url = `http://127.0.0.1:${port.port}`;
    return {
      name,
      what,
      url,
      command: process.execPath,
      args: [join(root, main)],
      env,
      prepare: port.release,
      ready: (pid) => answersFrom(pid, `${url}/health/ready`),
      readyWithinMs: READY_WITHIN_MS,
      stopSignal: 'SIGTERM',
      stopWithinMs: settings.SHUTDOWN_TIMEOUT_MS + KILL_GRACE_MS,
    };
  };

  const redis = (name: string, what: string, port: ReservedPort, args: typeof queueArgs): Part => {
    const data = dir.file(name);
    mkdirSync(data, { recursive: true, mode: 0o700 });
    return {
      name,
      what,
      url: `redis://127.0.0.1:${port.port}`,
      command: context.redisServer,
      args: [writeRedisConfig(data, secrets.redisPassword), ...args(port.port, data)],
      env: settings.inherited,
      prepare: port.release,
      ready: (pid) => redisAnswers(port.port, pid, secrets.redisPassword),
      readyWithinMs: READY_WITHIN_MS,
      stopSignal: 'SIGTERM',
      stopWithinMs: 10_000,
    };
  };

  const relay = (name: string, port: ReservedPort) =>
    service(
      name,
      'relay node',
      port,
      'relay/main.ts',
      { ...redisUrls, ...ledger, ...auth, ...cors, ...consoleOrigins, NODE_ID: name },
      readRelayConfig,
    );

  const webhooks: Record<string, string> = { WEBHOOK_SECRET: secrets.webhookSecret };
  const alerts: Record<string, string> = settings.ALERT_WEBHOOK_URL
    ? { ALERT_WEBHOOK_URL: settings.ALERT_WEBHOOK_URL }
    : {};

  const worker = (name: string, port: ReservedPort, admin: ReservedPort): Part => {
    const data = dir.file(name);
    mkdirSync(data, { recursive: true, mode: 0o700 });
    const part = service(
      name,
      'worker host',
      port,
      'workers/main.ts',
      {
        ...redisUrls,
        ...ledger,
        ...webhooks,
        ...alerts,
        ADMIN_PORT: `${admin.port}`,
        ADMIN_PASSWORD: secrets.adminPassword,
        ...models,
        FLEET: settings.FLEET ?? dir.fleet,
        WORKER_HOST: name,
        DOCKER_SOCKET: settings.DOCKER_SOCKET,
        DATA_DIR: data,
      },
      readWorkerConfig,
    );
    return { ...part, prepare: () => Promise.all([port.release(), admin.release()]) };
  };

  return {
    postgres: urls.ledger && !settings.LEDGER_URL ? postgresPart(context, urls.ledger) : undefined,
    redisQueue: redis('redis-queue', 'Redis, queue role', ports.REDIS_QUEUE_PORT, queueArgs),
    redisRealtime: redis('redis-realtime', 'Redis, realtime role', ports.REDIS_REALTIME_PORT, realtimeArgs),
    gateway: service(
      'gateway',
      'Redis over REST',
      ports.GATEWAY_PORT,
      'infra/gateway/main.ts',
      { REDIS_URL: urls.redisQueue, GATEWAY_TOKEN: secrets.gatewayToken },
      (env) => GatewayConfig.parse(env),
    ),
    relays: [relay('relay-1', ports.RELAY_1_PORT), relay('relay-2', ports.RELAY_2_PORT)],
    modelServer: urls.modelServer
      ? {
          ...service(
            'model-server',
            'a language model',
            ports.MODEL_SERVER_PORT,
            'infra/model-server/main.ts',
            settings.MODEL_PATH ? { MODEL_PATH: settings.MODEL_PATH } : {},
            readModelServerConfig,
          ),
          readyWithinMs: MODEL_READY_WITHIN_MS,
        }
      : undefined,
    workers: [
      worker('worker-1', ports.WORKER_1_PORT, ports.WORKER_1_ADMIN_PORT),
      worker('worker-2', ports.WORKER_2_PORT, ports.WORKER_2_ADMIN_PORT),
    ],
    edge: service(
      'edge',
      'edge in workerd',
      ports.EDGE_DIRECT_PORT,
      'infra/edge/main.ts',
      {
        ...auth,
        ...cors,
        ...webhooks,
        ...ledger,
        ...replica,
        UPSTASH_REDIS_REST_URL: urls.gateway,
        UPSTASH_REDIS_REST_TOKEN: secrets.gatewayToken,
        RELAY_URL: urls.relay,
        EDGE_BUNDLE: dir.file('edge'),
      },
      judgeEdge,
    ),
    nginx: context.nginx ? nginxPart(context, context.nginx) : undefined,
  };
}

/** Small models on a CPU answer in seconds: what a GPU fleet spares, the stack need not. */
const INFERENCE_LIMIT = '600/min';

/** What workers know of models: the stack's own server, and whatever else the environment names. */
function modelSettings(own: string | undefined, inherited: Record<string, string>): Record<string, string> {
  const servers = [own, inherited.MODEL_SERVERS].filter(Boolean).join(',');
  return {
    INFERENCE_LIMIT: inherited.INFERENCE_LIMIT ?? INFERENCE_LIMIT,
    ...(servers ? { MODEL_SERVERS: servers } : {}),
  };
}

/** As the edge's own process and the Worker in it will judge it. */
function judgeEdge(env: Record<string, string>): void {
  const hyperdrives = hyperdriveUrls(env);
  for (const [name, url] of Object.entries(hyperdrives)) parseHyperdrive(name, url);
  readEdgeConfig({ ...env, ...asBindings(hyperdrives) });
}

function postgresPart({ root, dir, ports, settings, secrets }: PartsContext, url: string): Part {
  const { port, release } = ports.LEDGER_PORT;
  const own = { PORT: `${port}`, DATA_DIR: dir.file('postgres'), LEDGER_PASSWORD: secrets.ledgerPassword };
  return {
    name: 'postgres',
    what: 'PostgreSQL, the ledger',
    url: `postgres://127.0.0.1:${port}/${DATABASE}`,
    command: process.execPath,
    args: [join(root, 'infra/postgres/main.ts')],
    env: { ...settings.inherited, ...own },
    prepare: release,
    ready: (pid) => postgresAnswers(url, pid),
    readyWithinMs: POSTGRES_READY_WITHIN_MS,
    // Cuts sessions off and writes all.
    stopSignal: 'SIGINT',
    stopWithinMs: 20_000,
  };
}

function nginxPart({ dir, ports, settings }: PartsContext, command: string): Part {
  const own = dir.file('nginx');
  const config = join(own, 'nginx.conf');
  mkdirSync(own, { recursive: true, mode: 0o700 });
  const address = ({ port }: ReservedPort) => `127.0.0.1:${port}`;
  const text = nginxConfig({
    dir: own,
    logs: dir.file('logs'),
    edgePort: ports.EDGE_PORT.port,
    relayPort: ports.RELAY_PORT.port,
    edge: address(ports.EDGE_DIRECT_PORT),
    relays: [address(ports.RELAY_1_PORT), address(ports.RELAY_2_PORT)],
  });
  writeFileSync(config, text, { mode: 0o600 });
  const listens = [ports.EDGE_PORT, ports.RELAY_PORT];
  return {
    name: 'nginx',
    what: 'in front of edge and relays',
    url: `http://${address(ports.EDGE_PORT)} ${address(ports.RELAY_PORT)}`,
    command,
    args: ['-p', own, '-c', config, '-e', join(dir.file('logs'), 'nginx-error.log')],
    env: settings.inherited,
    prepare: () => Promise.all(listens.map(({ release }) => release())),
    ready: async () => (await Promise.all(listens.map(({ port }) => accepts(port)))).every(Boolean),
    readyWithinMs: READY_WITHIN_MS,
    stopSignal: 'SIGQUIT',
    stopWithinMs: 5000,
  };
}

/** Does the address answer 2xx in time, and is it this process group and not another system's part. */
export const answersFrom = async (group: number, url: string): Promise<boolean> =>
  listensOn(group, Number(new URL(url).port)) && answers(url);

/** Does the address answer 2xx in time. */
const answers = (url: string): Promise<boolean> =>
  fetch(url, { signal: AbortSignal.timeout(3000) }).then(
    async (response) => {
      await response.body?.cancel();
      return response.ok;
    },
    () => false,
  );

/** Does the port accept a connection in time. */
const accepts = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', timeout: 1000 });
    const answer = (is: boolean) => () => {
      socket.destroy();
      resolve(is);
    };
    socket.once('connect', answer(true));
    socket.once('timeout', answer(false));
    socket.once('error', answer(false));
  });
