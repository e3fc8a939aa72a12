import { pooledUrl } from '../pooler/urls.ts';
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
    pooled: pooledUrls(context),
  };
}

/** With its password; `undefined` when the ledger is off. */
function ledgerUrl({ ports, settings, secrets }: Pick<PartsContext, 'ports' | 'settings' | 'secrets'>) {
  if (settings.LEDGER === 'off') return undefined;
  const own = `postgres://${DATABASE}:${secrets.ledgerPassword}@127.0.0.1:${ports.LEDGER_PORT.port}/${DATABASE}`;
  return settings.LEDGER_URL ?? own;
}

type WithPooler = Pick<PartsContext, 'ports' | 'settings' | 'secrets' | 'pgbouncer'>;

/** The ledger and its replica through the pooler, with their passwords; `undefined` without a pooler. */
function pooledUrls(context: WithPooler): { ledger: string; replica: string | undefined } | undefined {
  const { ports, settings, pgbouncer } = context;
  const ledger = ledgerUrl(context);
  if (ledger === undefined || !pgbouncer || settings.POOLER === 'off') return undefined;
  const address = `127.0.0.1:${ports.POOLER_PORT.port}`;
  const { LEDGER_READ_URL: replica } = settings;
  return {
    ledger: pooledUrl('LEDGER_URL', ledger, address),
    replica: replica && pooledUrl('LEDGER_READ_URL', replica, address),
  };
}
