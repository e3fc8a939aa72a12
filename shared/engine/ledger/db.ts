import type { PostgresJsDatabase } from 'drizzle-orm/postgres-js';

/** The ledger, or a transaction on it, however it is reached: a pool in Node, Hyperdrive at the edge. */
export type Db = Pick<
  PostgresJsDatabase,
  'select' | 'insert' | 'update' | 'delete' | 'execute' | 'transaction'
>;
