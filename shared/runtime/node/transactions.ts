import postgres from 'postgres';

type Begin = (work: (tx: postgres.TransactionSql) => unknown) => Promise<unknown>;

/**
 * postgres.js sends what is left of a transaction, its ROLLBACK too, over a connection that is gone: that throws where
 * nobody can catch it and ends the process, or reaches a new connection outside of any transaction. Here a transaction
 * whose connection has failed says nothing more. → the same client
 */
export function withSafeTransactions(sql: postgres.Sql): postgres.Sql {
  const begin = sql.begin.bind(sql) as Begin;
  const safely: Begin = (work) => {
    let gone = false;
    const transaction = begin(async (tx) => {
      try {
        return await work(
          new Proxy(tx, {
            get: (target, name) => {
              if (gone) throw new ConnectionLostError();
              return Reflect.get(target, name) as unknown;
            },
          }),
        );
      } catch (error) {
        // The transaction as a whole is rejected when its connection closes: what is here never settles.
        if (gone || isLoss(error)) return new Promise(() => undefined);
        throw error;
      }
    });
    transaction.catch(() => {
      gone = true;
    });
    return transaction;
  };
  return Object.assign(sql, { begin: safely as typeof sql.begin });
}

class ConnectionLostError extends Error {
  readonly code = 'CONNECTION_CLOSED';
}

/** Did the connection fail, and not what was asked of the server? */
function isLoss(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) {
    if (at instanceof postgres.PostgresError) return ENDED.test(at.code);
    const { code } = at as { code?: unknown };
    if (typeof code === 'string') return /^(CONNECTION_|E[A-Z]+$)/.test(code);
  }
  return false;
}

/** The server ends the session with this answer. */
const ENDED = /^(57P0[1-5]|25P0[34])$/;
