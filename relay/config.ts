import { RateLimitsConfig } from '@warmwind/shared/contract/limits';
import { BACKPRESSURE_ABOVE } from '@warmwind/shared/engine/queues';
import { readEnv } from '@warmwind/shared/runtime/env';
import { jsonText } from '@warmwind/shared/runtime/json';
import { Origins, withLocalNames } from '@warmwind/shared/runtime/origins';
import { hasOwnPassword, PLACEHOLDER_REMEDY, secretText } from '@warmwind/shared/runtime/secrets';
import { z } from 'zod';

const RedisUrl = z
  .string()
  .regex(/^(rediss?|redis\+sentinel):\/\//)
  .refine(hasOwnPassword, PLACEHOLDER_REMEDY)
  .meta({ secret: true });

/** The environment of a relay node. */
export const Config = z.object({
  BIND: z.string().default('127.0.0.1').describe('Address to listen on.'),
  PORT: z.coerce.number().int().min(0).max(65_535).default(8788).describe('Port to listen on.'),
  NODE_ID: z.string().min(1).max(64).default('relay').describe('Name of this node in logs.'),
  REDIS_QUEUE_URL: RedisUrl.describe('The queue Redis: redis://, rediss:// or redis+sentinel://.'),
  REDIS_REALTIME_URL: RedisUrl.describe('The realtime Redis, likewise.'),
  LEDGER_URL: z
    .string()
    .regex(/^postgres(ql)?:\/\//)
    .refine(hasOwnPassword, PLACEHOLDER_REMEDY)
    .optional()
    .meta({
      description:
        'The ledger, for records that the queue Redis has lost; without it their rooms are not found.',
      secret: true,
    }),
  AUTH_SECRET: secretText(32).describe('HS256 secret of relay tickets: that of the edge.'),
  AUTH_SECRET_PREVIOUS: secretText(32).optional().describe('Still accepted while AUTH_SECRET rotates.'),
  CORS_ORIGINS: Origins.prefault('').describe(
    'Origins whose pages may connect, comma-separated; `*` is all. A client without `Origin` may connect.',
  ),
  EDGE_ORIGINS: Origins.prefault('')
    .transform(withLocalNames)
    .describe('Origins of the edge, whose console may always connect, comma-separated.'),
  RATE_LIMITS: jsonText(RateLimitsConfig)
    .prefault('{}')
    .describe('Rate limits as JSON, of calls by the socket: as the edge has them.'),
  BACKPRESSURE_ABOVE: z.coerce
    .number()
    .int()
    .min(0)
    .default(BACKPRESSURE_ABOVE)
    .describe('Waiting jobs of a queue above which health reports backpressure.'),
  SHUTDOWN_TIMEOUT_MS: z.coerce
    .number()
    .int()
    .min(1000)
    .default(25_000)
    .describe('How long this service may drain after SIGTERM.'),
});
export type Config = z.infer<typeof Config>;

/** Reads the environment. @throws EnvironmentError */
export const readConfig = (env: NodeJS.ProcessEnv): Config => readEnv(Config, env);
