import type { PartsContext } from './context.ts';
import { stackUrls } from './urls.ts';

type Environment = Record<string, string>;

/** Small models on a CPU answer in seconds: the low limit of a GPU fleet is not needed here. */
const INFERENCE_LIMIT = '600/min';

/** The settings that several services of a stack share, by topic. */
export function sharedSettings(context: PartsContext) {
  const { settings, secrets } = context;
  const { AUTH_SECRET_PREVIOUS, ALERT_WEBHOOK_URL, LEDGER_READ_URL, inherited } = settings;
  const urls = stackUrls(context);
  const edgePort = new URL(urls.edge).port;
  return {
    redis: { REDIS_QUEUE_URL: urls.redisQueue, REDIS_REALTIME_URL: urls.redisRealtime },
    auth: { AUTH_SECRET: secrets.authSecret, ...given({ AUTH_SECRET_PREVIOUS }) },
    ledger: { LEDGER: urls.ledger ? 'on' : 'off', ...given({ LEDGER_URL: urls.ledger }) },
    replica: urls.ledger ? given({ LEDGER_READ_URL }) : {},
    /** For the edge. */
    pooler: given({ LEDGER_POOLER: urls.pooler }),
    /** Pages of the edge itself may call it, its API's documentation first of all. */
    cors: {
      CORS_ORIGINS: inherited.CORS_ORIGINS ?? `http://127.0.0.1:${edgePort},http://localhost:${edgePort}`,
    },
    consoleOrigins: { EDGE_ORIGINS: `http://127.0.0.1:${edgePort}` },
    webhooks: { WEBHOOK_SECRET: secrets.webhookSecret },
    alerts: given({ ALERT_WEBHOOK_URL }),
    models: modelSettings(urls.modelServer, inherited),
  } satisfies Record<string, Environment>;
}

/** Settings of models for workers: the stack's own server, and others that the environment names. */
function modelSettings(own: string | undefined, inherited: Environment): Environment {
  const servers = [own, inherited.MODEL_SERVERS].filter(Boolean).join(',');
  return {
    INFERENCE_LIMIT: inherited.INFERENCE_LIMIT ?? INFERENCE_LIMIT,
    ...given({ MODEL_SERVERS: servers }),
  };
}

/** The settings that have a value. */
const given = (settings: Record<string, string | undefined>): Environment =>
  Object.fromEntries(Object.entries(settings).flatMap(([name, value]) => (value ? [[name, value]] : [])));
