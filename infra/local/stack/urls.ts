import { DATABASE } from '../postgres/cluster.ts';
import type { PartsContext } from './context.ts';
import type { ReservedPort } from './ports.ts';

/** The address of every part. Without nginx it is the edge's own and the first relay node's own. */
export function stackUrls(
  context: Pick<PartsContext, 'ports' | 'nginx' | 'pgbouncer' | 'settings' | 'secrets'>,
) {
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
    pooler: poolerAddress(context),
  };
}

/** With its password; `undefined` when the ledger is off. */
function ledgerUrl({ ports, settings, secrets }: Pick<PartsContext, 'ports' | 'settings' | 'secrets'>) {
  if (settings.LEDGER === 'off') return undefined;
  const own = `postgres://${DATABASE}:${secrets.ledgerPassword}@127.0.0.1:${ports.LEDGER_PORT.port}/${DATABASE}`;
  return settings.LEDGER_URL ?? own;
}

type WithPooler = Pick<PartsContext, 'ports' | 'settings' | 'pgbouncer'>;

/** Host and port; `undefined` without a pooler. */
function poolerAddress({ ports, settings, pgbouncer }: WithPooler): string | undefined {
  const { LEDGER, POOLER } = settings;
  if (!pgbouncer || LEDGER === 'off' || POOLER === 'off') return undefined;
  return `127.0.0.1:${ports.POOLER_PORT.port}`;
}
