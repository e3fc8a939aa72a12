import { mkdirSync } from 'node:fs';
import { totalmem } from 'node:os';
import { readConfig as readEdgeConfig } from '../../../edge/config.ts';
import { readConfig as readRelayConfig } from '../../../relay/config.ts';
import { readConfig as readWorkerConfig } from '../../../workers/config.ts';
import { asBindings, hyperdriveUrls, parseHyperdrive } from '../edge/hyperdrive.ts';
import { Config as GatewayConfig } from '../gateway/config.ts';
import { readConfig as readModelServerConfig } from '../model-server/config.ts';
import type { PartsContext } from './context.ts';
import { sharedSettings } from './environment.ts';
import type { ReservedPort } from './ports.ts';
import { servicePart } from './service.ts';
import type { Part } from './supervisor.ts';
import { stackUrls } from './urls.ts';
import { usualWarmPool } from './warm-pool.ts';

/** A large model takes its time to be read. */
const MODEL_READY_WITHIN_MS = 600_000;

export const gatewayPart = (context: PartsContext): Part =>
  servicePart(context, {
    name: 'gateway',
    what: 'Redis over REST',
    port: context.ports.GATEWAY_PORT,
    main: 'infra/local/gateway/main.ts',
    env: { REDIS_URL: stackUrls(context).redisQueue, GATEWAY_TOKEN: context.secrets.gatewayToken },
    check: (env) => GatewayConfig.parse(env),
  });

export function relayPart(context: PartsContext, name: string, port: ReservedPort): Part {
  const { redis, ledger, auth, cors, consoleOrigins } = sharedSettings(context);
  return servicePart(context, {
    name,
    what: 'relay node',
    port,
    main: 'relay/main.ts',
    env: { ...redis, ...ledger, ...auth, ...cors, ...consoleOrigins, NODE_ID: name },
    check: readRelayConfig,
  });
}

export function workerPart(
  context: PartsContext,
  name: string,
  { port, admin }: { port: ReservedPort; admin: ReservedPort },
): Part {
  const { dir, settings, secrets } = context;
  const { redis, ledger, webhooks, alerts, models } = sharedSettings(context);
  const data = dir.file(name);
  mkdirSync(data, { recursive: true, mode: 0o700 });
  const part = servicePart(context, {
    name,
    what: 'worker host',
    port,
    main: 'workers/main.ts',
    env: {
      ...redis,
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
      WARM_POOL: settings.inherited.WARM_POOL ?? usualWarmPool(settings.inherited, totalmem()),
    },
    check: readWorkerConfig,
  });
  return { ...part, prepare: () => Promise.all([port.release(), admin.release()]) };
}

export const modelServerPart = (context: PartsContext): Part =>
  servicePart(context, {
    name: 'model-server',
    what: 'a language model',
    port: context.ports.MODEL_SERVER_PORT,
    main: 'infra/local/model-server/main.ts',
    env: context.settings.MODEL_PATH ? { MODEL_PATH: context.settings.MODEL_PATH } : {},
    check: readModelServerConfig,
    readyWithinMs: MODEL_READY_WITHIN_MS,
  });

export function edgePart(context: PartsContext): Part {
  const { auth, cors, webhooks, ledger, replica, pooler } = sharedSettings(context);
  const urls = stackUrls(context);
  return servicePart(context, {
    name: 'edge',
    what: 'edge in workerd',
    port: context.ports.EDGE_DIRECT_PORT,
    main: 'infra/local/edge/main.ts',
    env: {
      ...auth,
      ...cors,
      ...webhooks,
      ...ledger,
      ...replica,
      ...pooler,
      UPSTASH_REDIS_REST_URL: urls.gateway,
      UPSTASH_REDIS_REST_TOKEN: context.secrets.gatewayToken,
      RELAY_URL: urls.relay,
      EDGE_BUNDLE: context.dir.file('edge'),
    },
    check: checkEdge,
  });
}

/** The checks of the edge's own process and of the Worker in it. */
function checkEdge(env: Record<string, string>): void {
  const hyperdrives = hyperdriveUrls(env);
  for (const [name, url] of Object.entries(hyperdrives)) parseHyperdrive(name, url);
  readEdgeConfig({ ...env, ...asBindings(hyperdrives) });
}
