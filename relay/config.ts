import { readEnv } from '@warmwind/shared/env';
import { Origins, withLocalNames } from '@warmwind/shared/origins';
import { BACKPRESSURE_ABOVE } from '@warmwind/shared/queues';
import { hasOwnPassword, PLACEHOLDER_REMEDY, secretText } from '@warmwind/shared/secrets';
import { z } from 'zod';

const RedisUrl = z
  .string()
  .regex(/^(rediss?|redis\+sentinel):\/\//)
  .refine(hasOwnPassword, PLACEHOLDER_REMEDY);

/** The environment of a relay node. */
export const Config = z.object({
  BIND: z.string().default('127.0.0.1'),
  PORT: z.coerce.number().int().min(0).max(65_535).default(8788),
  /** Names this node in logs and metrics. */
  NODE_ID: z.string().min(1).max(64).default('relay'),
  REDIS_QUEUE_URL: RedisUrl,
  REDIS_REALTIME_URL: RedisUrl,
  /** Asked for what the queue Redis has forgotten; without it such rooms are not found. */
  LEDGER_URL: z
    .string()
    .regex(/^postgres(ql)?:\/\//)
    .refine(hasOwnPassword, PLACEHOLDER_REMEDY)
    .optional(),
  AUTH_SECRET: secretText(32),
  /** Still accepted while secrets rotate. */
  AUTH_SECRET_PREVIOUS: secretText(32).optional(),
  /** Origins whose pages may connect; a client that sends no `Origin` is no browser and may. */
  CORS_ORIGINS: Origins.prefault(''),
  /** Where browsers find the edge: its console may connect whatever `CORS_ORIGINS` says. */
  EDGE_ORIGINS: Origins.prefault('').transform(withLocalNames),
  BACKPRESSURE_ABOVE: z.coerce.number().int().min(0).default(BACKPRESSURE_ABOVE),
  SHUTDOWN_TIMEOUT_MS: z.coerce.number().int().min(1000).default(25_000),
});
export type Config = z.infer<typeof Config>;

/** Reads the environment. @throws EnvironmentError */
export const readConfig = (env: NodeJS.ProcessEnv): Config => readEnv(Config, env);
