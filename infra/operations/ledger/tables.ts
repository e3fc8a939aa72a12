import * as schema from '@warmwind/shared/engine/ledger/schema';
import { is } from 'drizzle-orm';
import { getTableConfig, PgTable } from 'drizzle-orm/pg-core';

export type LedgerTable = { name: string; columns: string[] };

/** Every table of the ledger with data that can't be made again: all but the heartbeat. */
export const TABLES: LedgerTable[] = Object.values(schema)
  .filter((value) => is(value, PgTable))
  .filter((table) => table !== schema.heartbeat)
  .map((table) => {
    const { name, columns } = getTableConfig(table);
    return { name, columns: columns.map((column) => column.name) };
  });
