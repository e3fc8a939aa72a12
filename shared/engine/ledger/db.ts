import type { PostgresJsDatabase } from 'drizzle-orm/postgres-js';

/** The ledger, or a transaction on it, through a pool in Node, or through Hyperdrive or the pooler at the edge. */
export type Db = Pick<
  PostgresJsDatabase,
  'select' | 'insert' | 'update' | 'delete' | 'execute' | 'transaction'
>;
