import { scramSecret } from './scram.ts';
import type { Upstream } from './upstream.ts';

/** Databases of the pooler, by the name that clients use for database and user. */
export type PoolerOptions = {
  bind: string;
  port: number;
  upstreams: Record<string, Upstream>;
  /** Connections to each PostgreSQL, at most. */
  poolSize: number;
  /** Connections of clients, at most; one more is refused at once. */
  maxClients: number;
};

const MIN_POOL_SIZE = 2;

/** File of the clients' passwords, in the pooler's working folder. */
export const USERS_FILE = 'users.txt';

/**
 * Bounds, s. The edge waits for at most 1.5 s (a submission for `SUBMIT_TIMEOUT_MS`): a client that still waits
 * for a connection after 2 s has left.
 */
const BOUNDS = {
  query_wait_timeout: 2,
  server_connect_timeout: 2,
  /** A PostgreSQL that was away is asked again this soon; one login at a time. */
  server_login_retry: 0.1,
  query_timeout: 10,
  idle_transaction_timeout: 5,
  client_login_timeout: 5,
  client_idle_timeout: 30,
  server_idle_timeout: 600,
  server_lifetime: 3600,
  suspend_timeout: 2,
};

/**
 * Bounds in PostgreSQL itself, ms: without them a statement that waits for a lock would wait on when its client has
 * left, and keep its connection.
 */
const CONNECT_QUERY = 'set statement_timeout = 10000; set client_connection_check_interval = 1000';

/** A peer that is gone without a trace is noticed within 30 s. */
const SOCKETS = {
  listen_backlog: 1024,
  tcp_keepalive: 1,
  tcp_keepidle: 15,
  tcp_keepintvl: 5,
  tcp_keepcnt: 3,
  /** Milliseconds. */
  tcp_user_timeout: 10_000,
};

/** Clients connect for one request each: only failures are logged. */
const LOG = { log_connections: 0, log_disconnections: 0, log_pooler_errors: 1, log_stats: 0 };

/** Makes PgBouncer's configuration. The passwords are in the file of users. */
export function poolerConfig({ bind, port, upstreams, poolSize, maxClients }: PoolerOptions): string {
  const databases = Object.entries(upstreams).map(([name, { host, port, database, user }]) => {
    const fields = { host, port: `${port}`, dbname: database, user, connect_query: CONNECT_QUERY };
    const texts = Object.entries(fields).map(([field, value]) => `${field}=${quoted(value)}`);
    return `${name} = ${texts.join(' ')}`;
  });
  const [first] = Object.values(upstreams);
  const settings = {
    listen_addr: bind,
    listen_port: port,
    unix_socket_dir: '',
    auth_type: 'scram-sha-256',
    auth_file: USERS_FILE,
    // May read the counters of the admin console, and change nothing.
    stats_users: Object.keys(upstreams).join(','),
    pool_mode: 'transaction',
    default_pool_size: poolSize,
    // Opened without a client: the first client after an outage finds a connection instead of the last failure.
    min_pool_size: Math.min(MIN_POOL_SIZE, poolSize),
    max_client_conn: maxClients,
    server_tls_sslmode: first?.tls.mode ?? 'prefer',
    ...(first?.tls.authority ? { server_tls_ca_file: first.tls.authority } : {}),
    ...BOUNDS,
    ...SOCKETS,
    ...LOG,
  };
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}`);
  return ['[databases]', ...databases, '', '[pgbouncer]', ...lines, ''].join('\n');
}

/**
 * Makes the file of users. Clients log in as a user with the name of their database, by SCRAM with the database's
 * own password. The passwords for PostgreSQL are here as well: PgBouncer would log in with a client's SCRAM keys
 * instead of a password in the `[databases]` section.
 * @throws Error when two databases have one user with two passwords
 */
export function poolerUsers(upstreams: Record<string, Upstream>): string {
  const users = new Map(
    Object.entries(upstreams).map(([name, { password }]) => [name, scramSecret(password)]),
  );
  for (const { user, password } of Object.values(upstreams)) {
    if ((users.get(user) ?? password) !== password) {
      throw new Error(
        `user ${user}: use one password, or another user, on each PostgreSQL behind the pooler`,
      );
    }
    users.set(user, password);
  }
  return [...users].map(([user, secret]) => `${doubled(user)} ${doubled(secret)}\n`).join('');
}

const quoted = (text: string): string => `'${text.replaceAll("'", "''")}'`;
const doubled = (text: string): string => `"${text.replaceAll('"', '""')}"`;
