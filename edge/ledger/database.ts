/** A PostgreSQL as a Hyperdrive binding names it. The address is valid only within the request that reads it. */
export type Database = { readonly connectionString: string };
