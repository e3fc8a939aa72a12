import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { givenVariables, readEnv } from '@warmwind/shared/runtime/env';
import { hasOwnPassword, PLACEHOLDER_REMEDY, secretText } from '@warmwind/shared/runtime/secrets';
import { z } from 'zod';
import { type PortName, USUAL_PORTS } from './ports.ts';

/** `WORKER_1_ADMIN_PORT` as `worker 1 admin`. */
const partOf = (name: string): string =>
  name
    .replace(/_PORT$/, '')
    .replaceAll('_', ' ')
    .toLowerCase();

const MADE = 'made at the first start, kept in the state folder';

const Port = z.coerce.number().int().min(1).max(65_535).optional();
const ports = Object.fromEntries(
  Object.entries(USUAL_PORTS).map(([name, port]) => [
    name,
    Port.meta({ description: `Port of ${partOf(name)}.`, usual: `${port}, or a free one` }),
  ]),
) as Record<PortName, typeof Port>;
/** The complete URL is a secret: it holds a password. */
const PostgresUrl = z
  .url({ protocol: /^postgres(ql)?$/, error: 'use postgres://…' })
  .refine(hasOwnPassword, PLACEHOLDER_REMEDY)
  .optional();
const Secret = secretText(32).optional();

/** Does the file begin with GGUF's first bytes? */
function isGguf(path: string): boolean {
  try {
    // Only a plain file is sure to have an end.
    if (!statSync(path).isFile()) return false;
    const file = openSync(path, 'r');
    try {
      const magic = Buffer.alloc(4);
      readSync(file, magic);
      return magic.toString('latin1') === 'GGUF';
    } finally {
      closeSync(file);
    }
  } catch {
    return false;
  }
}

/** Settings of the stack itself, or of more than one part; every part checks the rest itself. */
export const Environment = z.object({
  ...ports,
  WARMWIND_DIR: z.string().optional().meta({
    description: 'Folder of state, secrets, logs and data; another folder is another system.',
    usual: '`.warmwind` in the checkout',
  }),
  AUTH_SECRET: Secret.meta({ description: 'HS256 secret of API tokens and relay tickets.', usual: MADE }),
  AUTH_SECRET_PREVIOUS: Secret.describe('Still accepted while AUTH_SECRET rotates.'),
  GATEWAY_TOKEN: secretText(16).optional().meta({ description: 'Bearer token of the gateway.', usual: MADE }),
  WEBHOOK_SECRET: Secret.meta({
    description: 'Secret from which the signing secret of each user is derived.',
    usual: MADE,
  }),
  ADMIN_PASSWORD: secretText(16)
    .optional()
    .meta({ description: 'Password of the user `admin` of Bull Board.', usual: MADE }),
  ALERT_WEBHOOK_URL: z
    .url({ protocol: /^https?$/, error: 'use http:// or https://' })
    .optional()
    .meta({
      description: 'Address that receives every permanent failure; it may hold a key of the receiver.',
      secret: true,
    }),
  DOCKER_SOCKET: z.string().startsWith('/', 'use an absolute path').optional().meta({
    description: 'Socket of the Docker Engine.',
    usual: 'that of `DOCKER_HOST`, else `/var/run/docker.sock`',
  }),
  FLEET: z
    .string()
    .regex(/^[a-z0-9-]{1,40}$/, 'use 1-40 of a-z, 0-9 and -')
    .optional()
    .meta({
      description: 'Name that keeps systems apart that share a Docker Engine.',
      usual: 'a name of this checkout',
    }),
  LEDGER: z
    .enum(['on', 'off'])
    .default('on')
    .describe('`off`: no PostgreSQL. An acknowledged job is then kept in Redis only, and is lost with it.'),
  LEDGER_URL: PostgresUrl.meta({
    description: 'A PostgreSQL, 14 or later, to use instead of the embedded one.',
    secret: true,
    usual: 'the embedded PostgreSQL',
  }),
  LEDGER_READ_URL: PostgresUrl.meta({
    description: 'A replica that the edge reads lists and usage from.',
    secret: true,
  }),
  POOLER: z
    .enum(['on', 'off'])
    .default('on')
    .describe('`off`: no PgBouncer between the edge and the ledger.'),
  MODEL_SERVER: z
    .enum(['on', 'off'])
    .default('on')
    .describe('`off`: no embedded model server; `MODEL_SERVERS` may name others.'),
  MODEL_PATH: z
    .string()
    .transform((path) => resolve(path))
    .refine(isGguf, 'there is no GGUF file: correct the path, or leave it out for the demonstration model')
    .optional()
    .meta({ description: 'The GGUF that the embedded model server serves.', usual: 'desk-tiny' }),
  SHUTDOWN_TIMEOUT_MS: z.coerce
    .number()
    .int()
    .min(1000)
    .max(600_000)
    .default(25_000)
    .describe('How long a service may drain; the stack kills it 5 s later.'),
  HEALTH_HEAP_MB: z.coerce
    .number()
    .int()
    .min(16)
    .optional()
    .describe('JavaScript heap above which a service reports that it is not alive; 500 if left out.'),
  LOG_LEVEL: z
    .enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'])
    .optional()
    .describe('Least level of the log lines that are written; `info` if left out.'),
});

export type Settings = Omit<z.infer<typeof Environment>, 'WARMWIND_DIR' | 'DOCKER_SOCKET'> & {
  stateDir: string;
  /**
   * The engine's socket for the stack and its workers: `DOCKER_SOCKET`, else that of `DOCKER_HOST`, else the
   * usual one.
   */
  DOCKER_SOCKET: string;
  /**
   * The environment that every part inherits: the caller's, without secrets, which only their readers get.
   */
  inherited: Record<string, string>;
};

const USUAL_SOCKET = '/var/run/docker.sock';

/**
 * `/path` of `unix:///path`. Another kind of `DOCKER_HOST` is refused with its reason when the engine is
 * looked up.
 */
const unixSocket = (host = ''): string | undefined => /^unix:\/\/(\/.*)/.exec(host)?.[1];

const SECRETS = [
  'AUTH_SECRET',
  'AUTH_SECRET_PREVIOUS',
  'GATEWAY_TOKEN',
  'WEBHOOK_SECRET',
  'ADMIN_PASSWORD',
  'ALERT_WEBHOOK_URL',
  'UPSTASH_REDIS_REST_TOKEN',
  'LEDGER_URL',
  'LEDGER_READ_URL',
];

/** Reads the environment. @throws EnvironmentError */
export function readSettings(env: NodeJS.ProcessEnv, root: string): Settings {
  const data = readEnv(Environment, env);
  const given = givenVariables(env as Record<string, string>);
  const inherited = Object.fromEntries(Object.entries(given).filter(([name]) => !SECRETS.includes(name)));
  const { WARMWIND_DIR, ...settings } = data;
  const DOCKER_SOCKET = data.DOCKER_SOCKET ?? unixSocket(given.DOCKER_HOST) ?? USUAL_SOCKET;
  return { ...settings, DOCKER_SOCKET, stateDir: WARMWIND_DIR ?? join(root, '.warmwind'), inherited };
}
