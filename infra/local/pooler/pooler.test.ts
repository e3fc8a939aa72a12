import { createHmac } from 'node:crypto';
import postgres from 'postgres';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { startPooler, type TestPooler } from '../../quality/testing/pooler.ts';
import { PASSWORD, startPostgres, type TestPostgres } from '../../quality/testing/postgres.ts';
import { waitFor } from '../../quality/testing/wait.ts';
import { scramSecret } from './scram.ts';

const SERVER = { max_connections: 8, superuser_reserved_connections: 0, reserved_connections: 0 };
const POOL = { poolSize: 3, maxClients: 12 };
/** More than the longest bound of the pooler: what takes longer hangs. */
const BOUND_S = 5;

let server: TestPostgres;
let pooler: TestPooler;
let open: postgres.Sql[] = [];

beforeAll(async () => {
  const args = Object.entries(SERVER).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  server = await startPostgres({ args });
  pooler = await startPooler(server.url, POOL);
});
afterAll(async () => {
  await pooler?.stop();
  await server?.stop();
});
beforeEach(async () => {
  await Promise.all(open.map((sql) => sql.end({ timeout: 0 })));
  open = [];
});

/** A client with one connection, as the edge has for each request. */
function client(url = pooler.url): postgres.Sql {
  const sql = postgres(url, {
    max: 1,
    prepare: false,
    fetch_types: false,
    connect_timeout: BOUND_S,
    backoff: false,
  });
  open.push(sql);
  return sql;
}
const backendOf = async (sql: postgres.Sql) => (await sql`select pg_backend_pid() as pid`)[0]?.pid as number;
/** Does a query of this client succeed? */
const served = (sql: postgres.Sql) =>
  sql`select 1`.then(
    () => true,
    () => false,
  );
/** The pooler's URL with a change. */
const changed = (change: (url: URL) => void) => {
  const url = new URL(pooler.url);
  change(url);
  return url.href;
};

it('many clients share few connections to PostgreSQL, one transaction after another', async () => {
  const backends = await Promise.all(Array.from({ length: 10 }, () => backendOf(client())));
  expect(new Set(backends).size).toBeLessThanOrEqual(POOL.poolSize);
  const sql = client();
  const inTransaction = await sql.begin(async (tx) => [
    ...(await tx`select pg_backend_pid() as pid`),
    ...(await tx`select pg_backend_pid() as pid`),
  ]);
  expect(inTransaction[0]).toEqual(inTransaction[1]);
});

it('a client without the right password is refused, and PostgreSQL is not asked', async () => {
  const wrong = changed((url) => {
    url.password = 'wrong';
  });
  await expect(client(wrong)`select 1`).rejects.toThrow('SASL authentication failed');
  const unknown = changed((url) => {
    url.username = 'postgres';
  });
  await expect(client(unknown)`select 1`).rejects.toThrow();
});

it('its counters can be read by its clients, and nothing can be changed', async () => {
  const admin = client(
    changed((url) => {
      url.pathname = '/pgbouncer';
    }),
  );
  const pools = await admin.unsafe('show pools').simple();
  expect(pools.map(({ database }) => database)).toContain('ledger_pool');
  await expect(admin.unsafe('pause').simple()).rejects.toThrow('admin access needed');
  await expect(admin.unsafe('shutdown').simple()).rejects.toThrow('admin access needed');
});

it('a password of any characters reaches PostgreSQL, from a file that its user alone reads', async () => {
  const odd = `a'b"c\\d e;f#g%${'\u{1F511}'}`;
  const quote = (text: string) => `'${text.replaceAll("'", "''")}'`;
  await server.sql.unsafe(`alter role current_user password ${quote(odd)}`);
  try {
    const url = new URL(server.url);
    url.password = encodeURIComponent(odd);
    const other = await startPooler(url.href, POOL);
    open.push(client(other.url));
    expect(await client(other.url)`select 1 as one`).toEqual([{ one: 1 }]);
    expect(other.log()).not.toContain(odd);
    await other.stop();
  } finally {
    await server.sql.unsafe(`alter role current_user password ${quote(PASSWORD)}`);
  }
});

it('a connection that PostgreSQL has closed is replaced, however often', async () => {
  for (let i = 0; i < 3; i++) {
    await waitFor('the pooler to serve', () => served(client()));
    await server.sql`select pg_terminate_backend(pid) from pg_stat_activity
      where usename = current_user and pid <> pg_backend_pid()`;
  }
  await waitFor('the pooler to serve', () => served(client()));
});

it('while PostgreSQL has no connection left, those of the pool serve; without one clients fail with the reason', async () => {
  const take = async (): Promise<postgres.Sql[]> => {
    const sql = client(server.url);
    return (await served(sql)) ? [sql, ...(await take())] : [];
  };
  await client()`select 1`;
  const taken = await take();
  expect(await client()`select 1 as one`).toEqual([{ one: 1 }]);

  await pooler.kill();
  taken.push(...(await take()));
  const restarted = pooler.restart();
  await waitFor('the reason', async () => {
    const reason = await client()`select 1`.then(String, String);
    return /too many clients|remaining connection slots/.test(reason);
  });
  await Promise.all(taken.map((sql) => sql.end({ timeout: 0 })));
  await restarted;
  expect(await client()`select 1 as one`).toEqual([{ one: 1 }]);
});

it('a statement that waits in PostgreSQL occupies one connection; when all are occupied, further clients fail within a bound', async () => {
  await server.sql`create table if not exists held (at int)`;
  const { promise: locked, resolve: isLocked } = Promise.withResolvers<void>();
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  const lock = server.sql.begin(async (tx) => {
    await tx`lock table held in access exclusive mode`;
    isLocked();
    await released;
  });
  await locked;
  const blocked = Array.from({ length: POOL.poolSize }, () => client()`select * from held`);
  const settled = Promise.allSettled(blocked);
  await waitFor('all connections of the pool to wait', async () => {
    const [row] =
      await server.sql`select count(*)::int as n from pg_stat_activity where wait_event_type = 'Lock'`;
    return row?.n === POOL.poolSize;
  });
  await expect(client()`select 1`).rejects.toThrow();
  expect(pooler.log()).toContain('query_wait_timeout');
  release();
  await lock;
  expect((await settled).map(({ status }) => status)).toEqual(Array(POOL.poolSize).fill('fulfilled'));
  expect(await client()`select 1 as one`).toEqual([{ one: 1 }]);
});

it('a client that leaves in the middle of a transaction leaves nothing behind', async () => {
  await server.sql`create table if not exists left_behind (at int)`;
  const sql = client();
  let left: (value: unknown) => void = () => undefined;
  const leaving = new Promise((resolve) => {
    left = resolve;
  });
  const transaction = sql
    .begin(async (tx) => {
      await tx`insert into left_behind values (1)`;
      left(undefined);
      await tx`select pg_sleep(60)`;
    })
    .catch(() => undefined);
  await leaving;
  await sql.end({ timeout: 0 });
  await transaction;
  await waitFor('its statement and transaction to end', async () => {
    const rows = await server.sql`select 1 from pg_locks where relation = 'left_behind'::regclass`;
    return rows.length === 0;
  });
  expect(await server.sql`select * from left_behind`).toEqual([]);
});

it('more clients than it serves are refused at once', async () => {
  const tried = await Promise.allSettled(
    Array.from({ length: POOL.maxClients + 8 }, () => client()`select pg_sleep(0.2)`),
  );
  const reasons = tried.flatMap((one) => (one.status === 'rejected' ? [String(one.reason)] : []));
  expect(reasons.length).toBeGreaterThan(0);
  for (const reason of reasons) expect(reason).toContain('no more connections allowed');
});

it('what it keeps for its clients is no password: a SCRAM verifier of the right key', () => {
  const salt = Buffer.from('salt');
  const secret = scramSecret(PASSWORD, salt);
  expect(secret).not.toContain(PASSWORD);
  const [, rounds, , keys = ''] = /^SCRAM-SHA-256\$(\d+):([^$]+)\$(.+)$/.exec(secret) ?? [];
  expect(rounds).toBe('1');
  // One round of PBKDF2 is one HMAC of the salt and the number of the block.
  const salted = createHmac('sha256', PASSWORD)
    .update(Buffer.concat([salt, Buffer.from([0, 0, 0, 1])]))
    .digest();
  expect(keys.split(':')[1]).toBe(createHmac('sha256', salted).update('Server Key').digest('base64'));
});
