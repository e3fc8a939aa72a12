import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { givenVariables, readEnv } from '@warmwind/shared/env';
import { hasOwnPassword, PLACEHOLDER_REMEDY, secretText } from '@warmwind/shared/secrets';
import { z } from 'zod';
import { type PortName, USUAL_PORTS } from './ports.ts';

const Port = z.coerce.number().int().min(1).max(65_535).optional();
const ports = Object.fromEntries(Object.keys(USUAL_PORTS).map((name) => [name, Port])) as Record<
  PortName,
  typeof Port
>;
/** The whole URL is a secret: it holds a password. */
const PostgresUrl = z
  .url({ protocol: /^postgres(ql)?$/, error: 'use postgres://…' })
  .refine(hasOwnPassword, PLACEHOLDER_REMEDY)
  .optional();
const Secret = secretText(32).optional();

/** Does the file begin as one does. */
function isGguf(path: string): boolean {
  try {
    // What is no plain file may never be read to its end.
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

/** What the stack itself, or more than one part, takes from the environment; every part judges the rest itself. */
const Environment = z.object({
  ...ports,
  /** Where state, secrets, logs and data live; another folder is another system. */
  WARMWIND_DIR: z.string().optional(),
  AUTH_SECRET: Secret,
  AUTH_SECRET_PREVIOUS: Secret,
  GATEWAY_TOKEN: secretText(16).optional(),
  WEBHOOK_SECRET: Secret,
  ADMIN_PASSWORD: secretText(16).optional(),
  /** It may hold a key of the receiver's. */
  ALERT_WEBHOOK_URL: z.url({ protocol: /^https?$/, error: 'use http:// or https://' }).optional(),
  DOCKER_SOCKET: z.string().startsWith('/', 'use an absolute path').optional(),
  FLEET: z
    .string()
    .regex(/^[a-z0-9-]{1,40}$/, 'use 1-40 of a-z, 0-9 and -')
    .optional(),
  /** `off`: no PostgreSQL, an acknowledged job lives in the queue Redis alone. */
  LEDGER: z.enum(['on', 'off']).default('on'),
  /** A PostgreSQL to use instead of the stack's own. */
  LEDGER_URL: PostgresUrl,
  /** A replica that the edge reads from. */
  LEDGER_READ_URL: PostgresUrl,
  /** `off`: no model server of the stack's own; `MODEL_SERVERS` may name others. */
  MODEL_SERVER: z.enum(['on', 'off']).default('on'),
  /** The GGUF that it serves, instead of the demonstration model. */
  MODEL_PATH: z
    .string()
    .transform((path) => resolve(path))
    .refine(isGguf, 'there is no GGUF file: correct the path, or leave it out for the demonstration model')
    .optional(),
  SHUTDOWN_TIMEOUT_MS: z.coerce.number().int().min(1000).max(600_000).default(25_000),
  HEALTH_HEAP_MB: z.coerce.number().int().min(16).optional(),
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).optional(),
});

export type Settings = Omit<z.infer<typeof Environment>, 'WARMWIND_DIR' | 'DOCKER_SOCKET'> & {
  stateDir: string;
  /** Of the engine that the stack and its workers use: `DOCKER_SOCKET`, else that of `DOCKER_HOST`, else the usual one. */
  DOCKER_SOCKET: string;
  /** What every part inherits: the caller's environment without secrets, which only those who need them get. */
  inherited: Record<string, string>;
};

const USUAL_SOCKET = '/var/run/docker.sock';

/** `unix:///path` → `/path`. Another kind of `DOCKER_HOST` is refused, with its reason, where the engine is looked for. */
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
