import { availableParallelism, totalmem } from 'node:os';
import { DesktopImages } from '@warmwind/shared/contract/desktop-images';
import { TierText } from '@warmwind/shared/contract/limits';
import { WebhookAllow, WebhookUrl } from '@warmwind/shared/contract/webhook-target';
import { BACKPRESSURE_ABOVE } from '@warmwind/shared/engine/queues';
import { readEnv } from '@warmwind/shared/runtime/env';
import { hasOwnPassword, PLACEHOLDER_REMEDY, secretText } from '@warmwind/shared/runtime/secrets';
import { z } from 'zod';
import { WarmPoolSizes } from './pool/sizes.ts';

const Name = z.string().regex(/^[a-z0-9-]{1,40}$/, 'use 1-40 of a-z, 0-9 and -');
/** Slots of one kind of work. One user may not take all of them, so there must be at least two. */
const slots = (max: number) =>
  z.coerce.number().int().min(2, 'use at least 2: one stays free for another user').max(max);
const Ms = z.coerce.number().int().min(100).max(86_400_000);

const RedisUrl = z.url().refine(hasOwnPassword, PLACEHOLDER_REMEDY).meta({ secret: true });

/** Parses comma-separated addresses into origins; the path `/v1` is dropped. */
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

/** The machine's memory less an eighth, at least 1 GB, for the engine, this process and all others. */
const hostMemoryMb = (totalBytes: number): number => {
  const totalMb = totalBytes / 2 ** 20;
  return Math.max(128, Math.floor(totalMb - Math.max(1024, totalMb / 8)));
};

/** How many desktops share a CPU by default when each has one. */
const OVERCOMMIT = 8;

/** Parses comma-separated ids of GPUs; `all` for every one of the machine. */
const HostGpus = z
  .string()
  .default('')
  .transform((text) => (text.trim() === 'all' ? 'all' : text.split(',').flatMap((part) => part.trim() || [])))
  .pipe(
    z.union([
      z.literal('all'),
      z
        .array(z.string().regex(/^(GPU|MIG)-[A-Za-z0-9-]{1,76}$/, 'use ids as GPU-… or MIG-…, or all'))
        .max(64, 'at most 64')
        .refine((ids) => new Set(ids).size === ids.length, 'name each GPU once'),
    ]),
  );

/** The environment of a worker. Times in ms. */
export const Config = z
  .object({
    BIND: z.string().default('127.0.0.1').describe('Address to listen on.'),
    PORT: z.coerce
      .number()
      .int()
      .min(0)
      .max(65_535)
      .default(0)
      .describe('Port of health and metrics; 0 is any free one.'),
    REDIS_QUEUE_URL: RedisUrl.describe('The queue Redis: redis://, rediss:// or redis+sentinel://.'),
    REDIS_REALTIME_URL: RedisUrl.describe('The realtime Redis, likewise.'),
    DOCKER_SOCKET: z.string().default('/var/run/docker.sock').describe('Socket of the Docker Engine.'),
    WORKER_HOST: Name.describe('Name of this host in records; one live process holds it at a time.'),
    FLEET: Name.describe('Name that keeps systems apart that share a Docker Engine.'),
    CONTAINERS_CONCURRENCY: slots(64).default(4).describe('Starts that this worker runs at a time.'),
    COMMANDS_CONCURRENCY: slots(64)
      .default(4)
      .describe('Commands to the desktops of this host that it runs at a time.'),
    PROGRAMS_CONCURRENCY: slots(1024)
      .default(256)
      .describe('Programs that it follows at a time in the desktops of this host; others wait.'),
    INFERENCE_CONCURRENCY: slots(256)
      .default(4)
      .describe('Requests to model servers that this worker runs at a time.'),
    READING_CONCURRENCY: slots(64)
      .default(2)
      .describe('Images that this worker reads at a time; each takes a CPU and SANDBOX_MEMORY_MB.'),
    INFERENCE_LIMIT: TierText.prefault('10/min').describe(
      'Requests to model servers, and as many readings, that the fleet starts in a time: `10/min`, `5/10s`.',
    ),
    LOCK_MS: Ms.default(10_000).describe('How long a job stays with a worker that does not renew its lock.'),
    STALLED_EVERY_MS: Ms.default(5000).describe('How often a worker looks for jobs whose lock expired.'),
    DEAD_AFTER_MS: z.coerce
      .number()
      .int()
      .max(60_000)
      .refine((ms) => ms === 0 || ms >= 500, 'use 0, or 500 and more')
      .default(2500)
      .describe(
        'How long after its last beat a worker process counts as dead: a peer then takes its jobs and releases its leases. 0: no beats; its jobs wait for LOCK_MS.',
      ),
    MODEL_SERVERS: ModelServers.describe(
      'OpenAI-compatible servers, comma-separated, without a path: vLLM, llama.cpp, Ollama.',
    ),
    MODEL_SERVER_KEY: secretText(1).max(1000).optional().describe('Bearer token for each of them.'),
    MODEL_MAX_WAITING: z.coerce
      .number()
      .int()
      .min(0)
      .max(10_000)
      .default(8)
      .describe('Requests that wait in a model server above which it gets no more.'),
    MODEL_IDLE_MS: Ms.default(60_000).describe(
      'How long a model server may send nothing while it answers, the wait for its first token included.',
    ),
    MODEL_WAIT_MS: Ms.default(300_000).describe(
      'How long a job waits for a model server that loads or is busy.',
    ),
    SANDBOX_MEMORY_MB: z.coerce
      .number()
      .int()
      .min(16)
      .max(65_536)
      .default(512)
      .describe('Memory of a sandboxed job; images of 16 megapixels took 130 to 550 MB.'),
    HOST_MEMORY_MB: z.coerce.number().int().min(128).default(hostMemoryMb(totalmem())).meta({
      description: 'Memory for all desktops of this fleet on this machine.',
      usual: 'the machine’s memory less an eighth, which is at least 1 GB',
    }),
    HOST_DESKTOPS: z.coerce
      .number()
      .int()
      .min(1)
      .max(10_000)
      .default(100)
      .describe('Desktops of this fleet on this machine, each with up to 256 processes.'),
    DESKTOP_IMAGES: DesktopImages.describe(
      'Images that WARM_POOL may name, as JSON: name to Docker image, as the edge has them.',
    ),
    WARM_POOL: WarmPoolSizes.prefault('{}').describe(
      'Desktops that run before anybody asks for them, as JSON: name of an image to a number, `{"desktop":2}`.',
    ),
    HOST_CPUS: z.coerce
      .number()
      .min(0.1)
      .max(100_000)
      .default(OVERCOMMIT * availableParallelism())
      .meta({
        description:
          'CPUs for all desktops of this fleet on this machine. Most desktops are idle most of the time: more than it has.',
        usual: '8 times those of the machine',
      }),
    HOST_DISK_MB: z.coerce
      .number()
      .int()
      .min(0)
      .default(0)
      .describe(
        'Disk for all desktops of this fleet on this machine; 0 is that of DATA_DIR less an eighth. Homes are in memory and take none.',
      ),
    HOST_GPUS: HostGpus.describe(
      'Ids of the NVIDIA GPUs that desktops may get, each for itself: comma-separated as `nvidia-smi -L` lists them, or `all`. Leave out those of model servers.',
    ),
    HOST_WAIT_MS: Ms.default(300_000).describe('How long a start waits for a host with room.'),
    LEASE_MS: Ms.default(10_000).describe('How long a host keeps its name without renewing its lease.'),
    LOST_AFTER_MS: Ms.default(30_000).describe(
      'How long after its last renewal a host counts as lost, and its desktops with it.',
    ),
    DATA_DIR: z.string().default('/').describe('Path on the disk whose free space decides readiness.'),
    BACKPRESSURE_ABOVE: z.coerce
      .number()
      .int()
      .min(1)
      .default(BACKPRESSURE_ABOVE)
      .describe('Waiting jobs of a queue above which health and metrics report backpressure.'),
    EGRESS_NETWORK: z
      .string()
      .min(1)
      .max(128)
      .optional()
      .describe('Docker network of desktops that request `egress`; without it their starts fail.'),
    LEDGER: z
      .enum(['on', 'off'])
      .default('on')
      .describe('`off`: no PostgreSQL. An acknowledged job is then kept in Redis only, and is lost with it.'),
    LEDGER_URL: z
      .url({ protocol: /^postgres(ql)?$/, error: 'use postgres://…' })
      .refine(hasOwnPassword, PLACEHOLDER_REMEDY)
      .optional()
      .meta({ description: 'The ledger; required unless LEDGER is off.', secret: true }),
    RECONCILE_EVERY_MS: Ms.default(5000).describe('How often the leader reconciles.'),
    RECONCILE_AFTER_MS: Ms.default(5000).describe(
      'Age below which the reconciler leaves a record alone, because its change is still on its way.',
    ),
    LEDGER_RETENTION_DAYS: z.coerce
      .number()
      .int()
      .min(1)
      .max(36_500)
      .default(90)
      .describe('How long ended jobs and desktops stay in the ledger; usage by day stays.'),
    WEBHOOK_SECRET: secretText(32).describe(
      'Secret from which the signing secret of each user is derived; the same for the edge and the workers.',
    ),
    WEBHOOK_ALLOW: WebhookAllow.prefault('').describe(
      'CIDR ranges that webhooks may call although they are not public, comma-separated.',
    ),
    ALERT_WEBHOOK_URL: WebhookUrl.optional().meta({
      description: 'Address that receives every permanent failure; it may be private.',
      secret: true,
    }),
    ADMIN_PORT: z.coerce
      .number()
      .int()
      .min(0)
      .max(65_535)
      .optional()
      .describe('Port of Bull Board, read-only; left out: no board.'),
    ADMIN_PASSWORD: secretText(16)
      .optional()
      .describe('Password of the user `admin` of Bull Board; required with ADMIN_PORT.'),
  })
  .refine(({ ADMIN_PORT, ADMIN_PASSWORD }) => ADMIN_PORT === undefined || ADMIN_PASSWORD, {
    path: ['ADMIN_PASSWORD'],
    error: 'required when ADMIN_PORT is set',
  })
  .refine(({ WARM_POOL, DESKTOP_IMAGES }) => Object.keys(WARM_POOL).every((name) => DESKTOP_IMAGES[name]), {
    path: ['WARM_POOL'],
    error: 'name images of DESKTOP_IMAGES only',
  })
  .refine(({ LEDGER, LEDGER_URL }) => LEDGER === 'off' || LEDGER_URL, {
    path: ['LEDGER_URL'],
    error: 'required unless LEDGER is off',
  });
export type Config = z.infer<typeof Config>;

/** Reads the environment. @throws EnvironmentError */
export const readConfig = (env: NodeJS.ProcessEnv): Config => readEnv(Config, env);
