import { totalmem } from 'node:os';
import { readEnv } from '@warmwind/shared/env';
import { TierText } from '@warmwind/shared/limits';
import { BACKPRESSURE_ABOVE } from '@warmwind/shared/queues';
import { hasOwnPassword, PLACEHOLDER_REMEDY, secretText } from '@warmwind/shared/secrets';
import { WebhookAllow, WebhookUrl } from '@warmwind/shared/webhooks';
import { z } from 'zod';

const Name = z.string().regex(/^[a-z0-9-]{1,40}$/, 'use 1-40 of a-z, 0-9 and -');
/** No user may have all slots of a kind of work: with one alone there would be none for others. */
const slots = (max: number) =>
  z.coerce.number().int().min(2, 'use at least 2: one stays free for another user').max(max);
const Ms = z.coerce.number().int().min(100).max(86_400_000);

/** Addresses with commas between them → without a path: `/v1` is known. */
const ModelServers = z
  .string()
  .default('')
  .transform((text) => text.split(',').flatMap((part) => part.trim() || []))
  .pipe(
    z
      .array(
        z
          .url({ protocol: /^https?$/, error: 'use http://host:port' })
          .transform((url) => new URL(url))
          .refine(({ username, password }) => !username && !password, 'put the key into MODEL_SERVER_KEY')
          .refine(({ pathname, search }) => /^\/(v1\/?)?$/.test(pathname) && !search, 'leave the path out')
          .transform(({ origin }) => origin),
      )
      .max(64, 'at most 64'),
  );

/** An eighth of the machine's memory, at least 1 GB, is left to all else: the engine, this process, what runs beside it. */
const hostMemoryMb = (totalBytes: number): number => {
  const totalMb = totalBytes / 2 ** 20;
  return Math.max(128, Math.floor(totalMb - Math.max(1024, totalMb / 8)));
};

/** What the environment says, read once. Times in ms. */
export const Config = z
  .object({
    BIND: z.string().default('127.0.0.1'),
    PORT: z.coerce.number().int().min(0).max(65_535).default(0),
    REDIS_QUEUE_URL: z.url().refine(hasOwnPassword, PLACEHOLDER_REMEDY),
    REDIS_REALTIME_URL: z.url().refine(hasOwnPassword, PLACEHOLDER_REMEDY),
    DOCKER_SOCKET: z.string().default('/var/run/docker.sock'),
    /** This host's name in records; one live process holds it at a time. */
    WORKER_HOST: Name,
    /** Keeps systems that share a Docker Engine apart. */
    FLEET: Name,
    /**
     * How many jobs of a queue this worker does at a time: starts, commands to its desktops, requests to model servers,
     * images that are read (each takes a CPU and `SANDBOX_MEMORY_MB`).
     */
    CONTAINERS_CONCURRENCY: slots(64).default(4),
    COMMANDS_CONCURRENCY: slots(64).default(4),
    INFERENCE_CONCURRENCY: slots(256).default(4),
    READING_CONCURRENCY: slots(64).default(2),
    /** How many requests to model servers, and as many readings, the whole fleet begins in a time: `10/min`, `600/min`, `5/10s`. */
    INFERENCE_LIMIT: TierText.prefault('10/min'),
    /** How long a job stays a worker's own without a sign of life, and how often others look for such jobs. */
    LOCK_MS: Ms.default(10_000),
    STALLED_EVERY_MS: Ms.default(5000),
    /** OpenAI-compatible servers of this worker, and what they are shown as a bearer token. */
    MODEL_SERVERS: ModelServers,
    MODEL_SERVER_KEY: secretText(1).max(1000).optional(),
    /** A server in which more requests wait than this is given no more. */
    MODEL_MAX_WAITING: z.coerce.number().int().min(0).max(10_000).default(8),
    /** How long a model server may say nothing while it answers. */
    MODEL_IDLE_MS: Ms.default(60_000),
    /** How long a job waits for a model server that loads or is busy. */
    MODEL_WAIT_MS: Ms.default(300_000),
    /** How much memory a sandboxed job may take. */
    SANDBOX_MEMORY_MB: z.coerce.number().int().min(16).max(65_536).default(512),
    /** What the desktops of this fleet may take of this machine's memory in all, and how many may live on it. */
    HOST_MEMORY_MB: z.coerce.number().int().min(128).default(hostMemoryMb(totalmem())),
    HOST_DESKTOPS: z.coerce.number().int().min(1).max(10_000).default(100),
    /** How long a start waits for a host with room. */
    HOST_WAIT_MS: Ms.default(300_000),
    /** How long a host keeps its name and desktops without renewing. */
    LEASE_MS: Ms.default(10_000),
    /** How long after its last renewal a host's desktops are given up. */
    LOST_AFTER_MS: Ms.default(30_000),
    /** The disk whose room decides readiness. */
    DATA_DIR: z.string().default('/'),
    BACKPRESSURE_ABOVE: z.coerce.number().int().min(1).default(BACKPRESSURE_ABOVE),
    /** The Docker network of desktops that ask for `egress`; without it they are refused. */
    EGRESS_NETWORK: z.string().min(1).max(128).optional(),
    /** `off`: what was acknowledged lives in Redis alone. */
    LEDGER: z.enum(['on', 'off']).default('on'),
    LEDGER_URL: z
      .url({ protocol: /^postgres(ql)?$/, error: 'use postgres://…' })
      .refine(hasOwnPassword, PLACEHOLDER_REMEDY)
      .optional(),
    RECONCILE_EVERY_MS: Ms.default(5000),
    /** What is younger than this is still on its way: the reconciler leaves it alone. */
    RECONCILE_AFTER_MS: Ms.default(5000),
    /** How long after its end a job or desktop is known. */
    LEDGER_RETENTION_DAYS: z.coerce.number().int().min(1).max(36_500).default(90),
    /** From which each user's secret is derived that signs their webhooks; the edge tells them theirs. */
    WEBHOOK_SECRET: secretText(32),
    WEBHOOK_ALLOW: WebhookAllow.prefault(''),
    /** Where operators are told of every permanent failure; it may be private. */
    ALERT_WEBHOOK_URL: WebhookUrl.optional(),
    /** Where operators look into the queues, read-only; unset: nowhere. */
    ADMIN_PORT: z.coerce.number().int().min(0).max(65_535).optional(),
    ADMIN_PASSWORD: secretText(16).optional(),
  })
  .refine(({ ADMIN_PORT, ADMIN_PASSWORD }) => ADMIN_PORT === undefined || ADMIN_PASSWORD, {
    path: ['ADMIN_PASSWORD'],
    error: 'required when ADMIN_PORT is set',
  })
  .refine(({ LEDGER, LEDGER_URL }) => LEDGER === 'off' || LEDGER_URL, {
    path: ['LEDGER_URL'],
    error: 'required unless LEDGER is off',
  });
export type Config = z.infer<typeof Config>;

/** Reads the environment. @throws EnvironmentError */
export const readConfig = (env: NodeJS.ProcessEnv): Config => readEnv(Config, env);
