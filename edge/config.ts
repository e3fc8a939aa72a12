import { DesktopImages } from '@warmwind/shared/contract/desktop-images';
import { QuotasConfig, RateLimitsConfig } from '@warmwind/shared/contract/limits';
import { WebhookAllow } from '@warmwind/shared/contract/webhook-target';
import { BACKPRESSURE_ABOVE, MAX_WAITING } from '@warmwind/shared/engine/queues';
import { isAddressRange } from '@warmwind/shared/runtime/address';
import { readEnv } from '@warmwind/shared/runtime/env';
import { jsonText } from '@warmwind/shared/runtime/json';
import { Origins } from '@warmwind/shared/runtime/origins';
import { secretText } from '@warmwind/shared/runtime/secrets';
import { z } from 'zod';
import type { Database } from './ledger/database.ts';

const list = (text: string): string[] =>
  text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');

const List = z.string().transform(list);

const Milliseconds = z.coerce.number().int().min(1).max(30_000);
const Secret = secretText(32);
/** A Hyperdrive binding, or a URL when the environment of a stack is checked. */
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
    UPSTASH_REDIS_REST_URL: z
      .url({ protocol: /^https?$/ })
      .transform(withoutSlash)
      .describe('REST address of the queue Redis: Upstash, or the gateway.'),
    UPSTASH_REDIS_REST_TOKEN: secretText(1).describe('Bearer token of that address.'),

    AUTH_SECRET: Secret.describe('HS256 secret of API tokens and relay tickets.'),
    AUTH_SECRET_PREVIOUS: Secret.optional().describe('Still accepted while AUTH_SECRET rotates.'),
    AUTH_JWKS_URL: z
      .url({ protocol: /^https?$/ })
      .optional()
      .describe('JWKS of an issuer whose RS256 and ES256 tokens are accepted too.'),

    WEBHOOK_SECRET: Secret.describe(
      'Secret from which the signing secret of each user is derived; the same for the edge and the workers.',
    ),

    RELAY_URL: z
      .url({ protocol: /^(https?|wss?)$/ })
      .transform(withoutSlash)
      .describe('Address of the relay for browsers.'),
    RELAY_INTERNAL_URL: z
      .url({ protocol: /^https?$/ })
      .transform(withoutSlash)
      .optional()
      .describe('Address of the relay for the edge; RELAY_URL if left out.'),
    CORS_ORIGINS: Origins.prefault('').describe(
      'Origins whose pages may call the edge and show share links in a frame, comma-separated; `*` is all.',
    ),
    TRUSTED_PROXIES: List.refine((ranges) => ranges.every(isAddressRange), 'write ranges as 10.0.0.0/8')
      .prefault('')
      .describe(
        'CIDR ranges of the proxies in front, comma-separated. When set, the client address is the last ' +
          'untrusted hop of X-Forwarded-For, otherwise CF-Connecting-IP.',
      ),

    RATE_LIMITS: jsonText(RateLimitsConfig)
      .prefault('{}')
      .describe('Rate limits as JSON: scope to tiers. A scope left out keeps its default; `[]` lifts it.'),
    QUOTAS: jsonText(QuotasConfig)
      .prefault('{}')
      .describe('Outstanding work of one user as JSON: `jobs` and `desktops`. It limits desktops per user.'),
    DESKTOP_IMAGES: DesktopImages.describe(
      'Images that a request may name, as JSON: name to Docker image. The first is the default.',
    ),
    DESKTOP_NETWORKS: List.pipe(z.array(z.enum(['none', 'egress'])).min(1))
      .prefault('none')
      .describe('Networks that a request may name, comma-separated: `none`, `egress`.'),
    MAX_GPUS: z.coerce
      .number()
      .int()
      .min(0)
      .max(8)
      .default(0)
      .describe('GPUs that one desktop may request; more than 0 where workers have HOST_GPUS.'),

    PREMIUM_MODELS: List.prefault('').describe(
      'Models whose jobs run before the other jobs of their owner, comma-separated.',
    ),
    WEBHOOK_ALLOW: WebhookAllow.prefault('').describe(
      'CIDR ranges that webhooks may call although they are not public, comma-separated.',
    ),
    LIMITER_TIMEOUT_MS: Milliseconds.default(300).describe(
      'How long a request waits for the rate limiter, and a small submission for the script that decides it.',
    ),
    SUBMIT_TIMEOUT_MS: Milliseconds.default(2000).describe(
      'How long an accepted submission waits for queue and ledger; a large one for its acceptance too.',
    ),
    MAX_WAITING: z.coerce
      .number()
      .int()
      .min(1)
      .default(MAX_WAITING)
      .describe('Waiting jobs of a queue above which submissions are refused; stops always pass.'),
    BACKPRESSURE_ABOVE: z.coerce
      .number()
      .int()
      .min(0)
      .default(BACKPRESSURE_ABOVE)
      .describe('Waiting jobs of a queue above which health reports backpressure.'),

    LEDGER: z
      .enum(['on', 'off'])
      .default('on')
      .describe('`off`: no PostgreSQL. An acknowledged job is then kept in Redis only, and is lost with it.'),
    LEDGER_DB: DatabaseBinding.optional().meta({
      description: 'Hyperdrive binding of the ledger; where there is no Cloudflare, LEDGER_URL.',
      secret: true,
    }),
    LEDGER_READ_DB: DatabaseBinding.optional().meta({
      description: 'The same of a replica for lists and usage; LEDGER_READ_URL.',
      secret: true,
    }),
    LEDGER_MAX_LAG_MS: z.coerce
      .number()
      .int()
      .min(1)
      .max(3_600_000)
      .default(2000)
      .describe('Age of the last heartbeat up to which the replica is used.'),
  })
  .refine(({ LEDGER, LEDGER_DB }) => LEDGER === 'off' || LEDGER_DB, {
    path: ['LEDGER_DB'],
    error:
      'bind the PostgreSQL of the ledger (Hyperdrive; LEDGER_URL where there is none), or set LEDGER=off',
  });

/** The Worker's bindings, checked, with every default in place. */
export type Config = z.output<typeof Variables>;

/**
 * Reads the Worker's bindings.
 * @throws EnvironmentError
 */
export const readConfig = (bindings: Readonly<Record<string, unknown>>): Config =>
  readEnv(Variables, bindings);
