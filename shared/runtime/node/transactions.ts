import postgres from 'postgres';

type Begin = (work: (tx: postgres.TransactionSql) => unknown) => Promise<unknown>;

/**
 * Stops a transaction whose connection has failed from sending anything more. postgres.js sends the rest of
 * such a transaction, its ROLLBACK too, over the lost connection: that throws an error that no caller can
 * catch and ends the process, or it reaches a new connection outside of any transaction.
 * @returns the same client
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
        // postgres.js rejects the complete transaction when its connection closes: this part never settles.
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

/** Did the connection fail, and not the query? */
function isLoss(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) {
    if (at instanceof postgres.PostgresError) return ENDED.test(at.code);
    const { code } = at as { code?: unknown };
    if (typeof code === 'string') return /^(CONNECTION_|E[A-Z]+$)/.test(code);
  }
  return false;
}

/** SQLSTATEs with which the server ends the session. */
const ENDED = /^(57P0[1-5]|25P0[34])$/;
