import type { Db } from '@warmwind/shared/engine/ledger/db';
import { readLag } from '@warmwind/shared/engine/ledger/reads';
import { withTimeout } from '@warmwind/shared/runtime/timeout';
import { drizzle } from 'drizzle-orm/postgres-js';
import type { Context } from 'hono';
import postgres from 'postgres';
import type { Config } from '../config.ts';
import type { AppEnv } from '../env.ts';
import { failureOf } from '../http/failure.ts';
import { log } from '../http/log.ts';
import type { Database } from './database.ts';

/** Queries to run; they are sent one after another. */
type Work<T> = (db: Db) => Promise<T>;

/**
 * How long a request waits for a read of the ledger, and for the replica before it reads from the primary,
 * ms.
 */
const READ_TIMEOUT_MS = 1500;
const REPLICA_TIMEOUT_MS = 500;

/**
 * The ledger for the edge. A connection may not outlive its request in this runtime, so each call opens one
 * and ends it after the answer; Hyperdrive, or PgBouncer elsewhere, keeps the connections to the server and
 * gives one to each transaction: no statement may depend on its session. Every call is bounded in time and
 * tried once.
 */
export class Ledger {
  readonly #primary: Database;
  readonly #replica: Database | undefined;
  readonly #maxLagMs: number;

  constructor(primary: Database, { LEDGER_READ_DB, LEDGER_MAX_LAG_MS }: Config) {
    this.#primary = primary;
    this.#replica = LEDGER_READ_DB;
    this.#maxLagMs = LEDGER_MAX_LAG_MS;
  }

  get hasReplica(): boolean {
    return this.#replica !== undefined;
  }

  /**
   * Runs `work` on the primary. Rejects when it does not answer in time: a write may have happened or not.
   */
  run<T>(c: Context<AppEnv>, work: Work<T>, timeoutMs = READ_TIMEOUT_MS): Promise<T> {
    return withConnection(c, this.#primary, timeoutMs, work);
  }

  /** Reads from the replica if it answers and its lag is within the bound, else from the primary. */
  async read<T>(c: Context<AppEnv>, work: Work<T>): Promise<T> {
    if (this.#replica) {
      try {
        return await withConnection(c, this.#replica, REPLICA_TIMEOUT_MS, async (db) => {
          const lag = await readLag(db);
          if (lag > this.#maxLagMs) throw new Error(`it is ${Math.round(lag)} ms behind`);
          return work(db);
        });
      } catch (error) {
        log.warn('the replica is not used', { requestId: c.get('requestId'), ...failureOf(error) });
      }
    }
    return this.run(c, work);
  }
}

async function withConnection<T>(
  c: Context<AppEnv>,
  database: Database,
  timeoutMs: number,
  work: Work<T>,
): Promise<T> {
  const sql = postgres(database.connectionString, {
    max: 1,
    // A statement prepared before may be on another connection to the server.
    prepare: false,
    fetch_types: false,
    connect_timeout: Math.ceil(timeoutMs / 1000),
    onnotice: () => undefined,
  });
  try {
    return await withTimeout(work(drizzle(sql)), timeoutMs);
  } finally {
    c.executionCtx.waitUntil(sql.end({ timeout: 0 }).catch(() => undefined));
  }
}
