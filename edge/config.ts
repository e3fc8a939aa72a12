import { isAddressRange } from '@warmwind/shared/address';
import { readEnv } from '@warmwind/shared/env';
import { jsonText } from '@warmwind/shared/json';
import { QuotasConfig, RateLimitsConfig } from '@warmwind/shared/limits';
import { Origins } from '@warmwind/shared/origins';
import { BACKPRESSURE_ABOVE, MAX_WAITING } from '@warmwind/shared/queues';
import { secretText } from '@warmwind/shared/secrets';
import { WebhookAllow } from '@warmwind/shared/webhooks';
import { z } from 'zod';
import type { Database } from './ledger/ledger.ts';

const list = (text: string): string[] =>
  text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');

const List = z.string().transform(list);

const Milliseconds = z.coerce.number().int().min(1).max(30_000);
const Secret = secretText(32);
/** A Hyperdrive binding; or a URL, where the environment of a stack is checked. */
const DatabaseBinding = z
  .custom<Database | string>(
    (value) =>
      typeof value === 'string'
        ? /^postgres(ql)?:\/\//.test(value)
        : typeof value === 'object' && value !== null && 'connectionString' in value,
    'bind a PostgreSQL through Hyperdrive',
  )
  .transform((value): Database => (typeof value === 'string' ? { connectionString: value } : value));
const withoutSlash = (url: string): string => url.replace(/\/+$/, '');

/** The Worker's variables and bindings. */
export const Variables = z
  .object({
    UPSTASH_REDIS_REST_URL: z.url({ protocol: /^https?$/ }).transform(withoutSlash),
    UPSTASH_REDIS_REST_TOKEN: secretText(1),

    AUTH_SECRET: Secret,
    AUTH_SECRET_PREVIOUS: Secret.optional(),
    AUTH_JWKS_URL: z.url({ protocol: /^https?$/ }).optional(),

    /** The workers' own: from it each user's secret is derived that signs their webhooks. */
    WEBHOOK_SECRET: Secret,

    /** Where browsers find the relay's Socket.IO, and the edge its HTTP. */
    RELAY_URL: z.url({ protocol: /^(https?|wss?)$/ }).transform(withoutSlash),
    /** Where the edge finds it, when that is another way than the browsers'. */
    RELAY_INTERNAL_URL: z
      .url({ protocol: /^https?$/ })
      .transform(withoutSlash)
      .optional(),
    /** Origins whose pages may call; `*` is all of them. */
    CORS_ORIGINS: Origins.prefault(''),
    /** CIDR ranges of the proxies in front; set, the client's IP is taken from X-Forwarded-For. */
    TRUSTED_PROXIES: List.refine(
      (ranges) => ranges.every(isAddressRange),
      'write ranges as 10.0.0.0/8',
    ).prefault(''),

    RATE_LIMITS: jsonText(RateLimitsConfig).prefault('{}'),
    QUOTAS: jsonText(QuotasConfig).prefault('{}'),
    DESKTOP_IMAGES: jsonText(
      z
        .record(z.string().regex(/^[a-z0-9][a-z0-9._-]{0,63}$/), z.string().min(1).max(255))
        .refine((images) => Object.keys(images).length > 0, 'offer at least one image'),
    ).prefault('{"desktop":"warmwind/desktop:latest"}'),
    DESKTOP_NETWORKS: List.pipe(z.array(z.enum(['none', 'egress'])).min(1)).prefault('none'),
    /** GPUs that one desktop may ask for. */
    MAX_GPUS: z.coerce.number().int().min(0).max(0, 'no host gives desktops a GPU yet: set 0').default(0),

    /** Models whose jobs go before their owner's others. */
    PREMIUM_MODELS: List.prefault(''),
    /** CIDR ranges that webhooks may go to although they are not public. */
    WEBHOOK_ALLOW: WebhookAllow.prefault(''),
    /** How long a request waits for the limiter, and a submission for the script that decides it, if it is no large one. */
    LIMITER_TIMEOUT_MS: Milliseconds.default(300),
    /** How long a submission waits, once it is accepted, for its job to be in the queue and in the ledger; a large one for its acceptance too. */
    SUBMIT_TIMEOUT_MS: Milliseconds.default(2000),
    /** Jobs that wait in a queue from which on it takes no more, but for stops. */
    MAX_WAITING: z.coerce.number().int().min(1).default(MAX_WAITING),
    BACKPRESSURE_ABOVE: z.coerce.number().int().min(0).default(BACKPRESSURE_ABOVE),

    /** `off`: an acknowledged job lives in Redis alone, and is lost with it. */
    LEDGER: z.enum(['on', 'off']).default('on'),
    LEDGER_DB: DatabaseBinding.optional(),
    /** A replica for lists and usage, used while it is not further behind than this. */
    LEDGER_READ_DB: DatabaseBinding.optional(),
    LEDGER_MAX_LAG_MS: z.coerce.number().int().min(1).max(3_600_000).default(2000),
  })
  .refine(({ LEDGER, LEDGER_DB }) => LEDGER === 'off' || LEDGER_DB, {
    path: ['LEDGER_DB'],
    error:
      'bind the PostgreSQL of the ledger (Hyperdrive; LEDGER_URL where there is none), or set LEDGER=off',
  });

/** The Worker's bindings, checked, with every default in place. */
export type Config = z.output<typeof Variables>;

/** Reads the Worker's bindings. @throws EnvironmentError */
export const readConfig = (bindings: Readonly<Record<string, unknown>>): Config =>
  readEnv(Variables, bindings);
