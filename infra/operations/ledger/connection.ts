import postgres from 'postgres';

/** A connection without progress is closed after this, ms. */
const STALLED_MS = 120_000;

/** Opens one connection for as long as `work` takes; `moved` is called at each progress. */
export async function withConnection<T>(
  url: string,
  name: string,
  work: (sql: postgres.Sql, moved: () => void) => Promise<T>,
): Promise<T> {
  const sql = postgres(url, {
    max: 1,
    connect_timeout: 10,
    prepare: false,
    fetch_types: false,
    onnotice: () => undefined,
    connection: { application_name: `warmwind-${name}` },
  });
  const timer = setTimeout(() => void sql.end({ timeout: 0 }).catch(() => undefined), STALLED_MS);
  try {
    return await work(sql, () => timer.refresh());
  } finally {
    clearTimeout(timer);
    await sql.end({ timeout: 1 }).catch(() => undefined);
  }
}

/**
 * Runs one transaction on a connection of its own. When `work` fails the connection is closed and the server
 * rolls back: a `ROLLBACK` could not be sent while unread rows are on their way, or when the server is gone.
 */
export function inTransaction<T>(
  url: string,
  name: string,
  mode: string,
  work: (tx: postgres.TransactionSql, moved: () => void) => Promise<T>,
): Promise<T> {
  const attempt = (sql: postgres.Sql, moved: () => void) =>
    new Promise<T>((resolve, reject) => {
      const untilCommit = async (tx: postgres.TransactionSql): Promise<() => void> => {
        try {
          await forBulk(tx);
          const result = await work(tx, moved);
          return () => resolve(result);
        } catch (error) {
          reject(error);
          return new Promise<never>(() => undefined);
        }
      };
      sql.begin(mode, untilCommit).then((done) => (done as () => void)(), reject);
    });
  return withConnection(url, name, attempt);
}

/** Settings of this transaction: text that every server reads alike, and none of the limits of services. */
async function forBulk(tx: postgres.TransactionSql): Promise<void> {
  await tx`set local datestyle = 'ISO'`;
  await tx`set local extra_float_digits = 1`;
  await tx`set local statement_timeout = 0`;
  await tx`set local idle_in_transaction_session_timeout = 0`;
}
