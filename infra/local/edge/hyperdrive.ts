import { hasOwnPassword, PLACEHOLDER_REMEDY } from '@warmwind/shared/runtime/secrets';

/** A database in the form of workerd's Hyperdrive binding. */
export type Hyperdrive = {
  address: string;
  database: string;
  user: string;
  password: string;
  scheme: string;
};

type Environment = Record<string, string | undefined>;

/** The Worker's databases by binding, as `LEDGER`, `LEDGER_URL` and `LEDGER_READ_URL` name them. */
export function hyperdriveUrls({ LEDGER, LEDGER_URL, LEDGER_READ_URL }: Environment): Record<string, string> {
  if (LEDGER === 'off') return {};
  if (!LEDGER_URL) throw new Error('LEDGER_URL: is missing (LEDGER=off runs without a ledger)');
  return { LEDGER_DB: LEDGER_URL, ...(LEDGER_READ_URL ? { LEDGER_READ_DB: LEDGER_READ_URL } : {}) };
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
    throw wrong('this runtime reaches PostgreSQL without TLS only: put a pooler next to it that speaks TLS');
  }
  return {
    address: `${hostname}:${port || 5432}`,
    database: decodeURIComponent(pathname.slice(1)),
    user: decodeURIComponent(username),
    password: decodeURIComponent(password),
    scheme: 'postgres',
  };
}
