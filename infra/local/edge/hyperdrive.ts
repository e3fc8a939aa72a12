import { readEnv } from '@warmwind/shared/runtime/env';
import { hasOwnPassword, PLACEHOLDER_REMEDY } from '@warmwind/shared/runtime/secrets';
import { z } from 'zod';
import { pooledUrl } from '../pooler/urls.ts';

/** A database in the form of workerd's Hyperdrive binding. */
export type Hyperdrive = {
  address: string;
  database: string;
  user: string;
  password: string;
  scheme: string;
};

type Environment = Record<string, string | undefined>;

/** The setting that leads to the databases through the pooler. */
export const PoolerAddress = z
  .string()
  .regex(/^[a-z0-9.-]+:\d{1,5}$/i, 'use host:port')
  .optional()
  .describe('`host:port` of the pooler in front of the ledger and its replica; empty: none.');

/**
 * The Worker's databases by binding, as `LEDGER`, `LEDGER_URL` and `LEDGER_READ_URL` name them; through the pooler
 * that `LEDGER_POOLER` names.
 * @throws Error with the setting's name and the reason
 */
export function hyperdriveUrls(env: Environment): Record<string, string> {
  const { LEDGER, LEDGER_URL, LEDGER_READ_URL } = env;
  if (LEDGER === 'off') return {};
  if (!LEDGER_URL) throw new Error('LEDGER_URL: is missing (LEDGER=off runs without a ledger)');
  const { LEDGER_POOLER: pooler } = readEnv(z.object({ LEDGER_POOLER: PoolerAddress }), env);
  const through = (setting: 'LEDGER_URL' | 'LEDGER_READ_URL', url: string) =>
    pooler ? pooledUrl(setting, url, pooler) : url;
  return {
    LEDGER_DB: through('LEDGER_URL', LEDGER_URL),
    ...(LEDGER_READ_URL ? { LEDGER_READ_DB: through('LEDGER_READ_URL', LEDGER_READ_URL) } : {}),
  };
}

/** The bindings that the Worker will see, for its own checks. */
export const asBindings = (urls: Record<string, string>): Record<string, { connectionString: string }> =>
  Object.fromEntries(Object.entries(urls).map(([name, connectionString]) => [name, { connectionString }]));

/**
 * Parses a database's URL.
 * @throws Error with the reason when workerd can't reach it, never with the URL: it holds a password
 */
export function parseHyperdrive(name: string, url: string): Hyperdrive {
  const wrong = (reason: string) => new Error(`${name}: ${reason}`);
  const { protocol, hostname, port, pathname, username, password, searchParams } = URL.parse(url) ?? {};
  if (protocol !== 'postgres:' && protocol !== 'postgresql:') throw wrong('use postgres://…');
  if (!hostname || !username || !password || !pathname || pathname === '/') {
    throw wrong('name a user, a password, a host and a database');
  }
  if (!hasOwnPassword(url)) throw wrong(PLACEHOLDER_REMEDY);
  // PostgreSQL turns to TLS in the middle of a connection, which only Cloudflare's own Hyperdrive does.
  if (!['disable', 'prefer', 'allow', null].includes(searchParams?.get('sslmode') ?? null)) {
    throw wrong(
      'this runtime reaches PostgreSQL without TLS only: put the pooler in front of it, which speaks TLS (LEDGER_POOLER)',
    );
  }
  return {
    address: `${hostname}:${port || 5432}`,
    database: decodeURIComponent(pathname.slice(1)),
    user: decodeURIComponent(username),
    password: decodeURIComponent(password),
    scheme: 'postgres',
  };
}
