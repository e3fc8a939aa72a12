import type { Redis } from '@upstash/redis/cloudflare';
import { SubmissionStore } from './admission/store.ts';
import { createVerifier, type VerifyToken } from './auth/token.ts';
import type { Config } from './config.ts';
import { Ledger } from './ledger/ledger.ts';
import { Limiter } from './limits/limiter.ts';
import { UserLimitsStore } from './limits/user-limits.ts';
import { Queues } from './queue/queues.ts';
import { Relay } from './realtime/relay.ts';
import { ShareLinks } from './realtime/share-links.ts';
import { createRedis } from './redis/redis.ts';
import { WebhookDeliveries } from './webhooks/deliveries.ts';

/** How long a request waits for a read of a record, ms. */
const READ_TIMEOUT_MS = 1000;

/** The services that routes use. None of them holds a connection or the state of a request. */
export type Services = {
  config: Config;
  redis: Redis;
  limiter: Limiter;
  userLimits: UserLimitsStore;
  queues: Queues;
  webhooks: WebhookDeliveries;
  submissions: SubmissionStore;
  /** `undefined` when LEDGER is off. */
  ledger: Ledger | undefined;
  relay: Relay;
  shareLinks: ShareLinks;
  verifyToken: VerifyToken;
};

export function createServices(config: Config): Services {
  const limiterRedis = createRedis(config, config.LIMITER_TIMEOUT_MS);
  const submitRedis = createRedis(config, config.SUBMIT_TIMEOUT_MS);
  const limiter = new Limiter(limiterRedis, config.RATE_LIMITS);
  const rest = {
    url: config.UPSTASH_REDIS_REST_URL,
    token: config.UPSTASH_REDIS_REST_TOKEN,
    timeoutMs: config.SUBMIT_TIMEOUT_MS,
  };
  const queues = new Queues(rest, config.MAX_WAITING);
  const redis = createRedis(config, READ_TIMEOUT_MS);
  const ledger =
    config.LEDGER === 'on' && config.LEDGER_DB ? new Ledger(config.LEDGER_DB, config) : undefined;
  return {
    config,
    redis,
    limiter,
    userLimits: new UserLimitsStore(redis, ledger),
    queues,
    webhooks: new WebhookDeliveries(redis, queues),
    submissions: new SubmissionStore(limiterRedis, submitRedis, limiter, queues, config.LEDGER === 'on'),
    ledger,
    relay: new Relay(config),
    shareLinks: new ShareLinks(redis),
    verifyToken: createVerifier(config),
  };
}
