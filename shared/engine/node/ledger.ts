import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { drizzle } from 'drizzle-orm/postgres-js';
import { migrate } from 'drizzle-orm/postgres-js/migrator';
import postgres from 'postgres';
import type { Logger } from '../../runtime/node/log.ts';
import { withSafeTransactions } from '../../runtime/node/transactions.ts';
import { withTimeout } from '../../runtime/timeout.ts';
import type { Db } from '../ledger/db.ts';

const MIGRATIONS = fileURLToPath(new URL('../ledger/migrations', import.meta.url));
/** Any fixed number: the process that holds this advisory lock migrates. */
const MIGRATION_LOCK = 7_239_116;
/**
 * How long a migration waits for its lock on a table before it yields to running work, and when it is tried
 * again, ms.
 */
const LOCK_TIMEOUT_MS = 2000;
const MIGRATE_AGAIN_MS = 1000;

/** The ledger is unavailable or did not answer in time. The work may still have been done. */
export class LedgerUnavailableError extends Error {
  override name = 'LedgerUnavailableError';
}

/** The ledger refused a query. The message has the SQLSTATE and none of the data. */
export class LedgerRefusalError extends Error {
  override name = 'LedgerRefusalError';
  readonly code: string;

  constructor(code: string) {
    super(`refused with SQLSTATE ${code}`);
    this.code = code;
  }
}

/**
 * The ledger for a Node service: a small pool, and no call that waits longer than its bound. The connections
 * to a server that goes silent are replaced, so that nothing queues up behind it.
 */
export class Ledger {
  readonly #url: string;
  readonly #name: string;
  readonly #log: Logger;
  readonly #withinMs: number;
  #pool: { sql: postgres.Sql; db: Db };
  #up = true;

  /** @param withinMs the bound of every call */
  constructor(url: string, name: string, log: Logger, withinMs = 3000) {
    this.#url = url;
    this.#name = name;
    this.#log = log;
    this.#withinMs = withinMs;
    this.#pool = this.#open();
  }

  /**
   * Runs queries.
   * @throws LedgerUnavailableError when there is no answer in time
   * @throws LedgerRefusalError when PostgreSQL refuses a query
   */
  async run<T>(work: (db: Db) => Promise<T>, withinMs = this.#withinMs): Promise<T> {
    const pool = this.#pool;
    const timeoutError = () => {
      if (this.#pool === pool) this.#pool = this.#open();
      void pool.sql.end({ timeout: 0 }).catch(() => undefined);
      throw new LedgerUnavailableError(`no answer within ${withinMs} ms`);
    };
    try {
      const answer = await withTimeout(work(pool.db), withinMs, timeoutError);
      this.#reportState(true);
      return answer;
    } catch (error) {
      const code = codeOf(error);
      if (error instanceof LedgerUnavailableError || (code !== undefined && AWAY.test(code))) {
        this.#reportState(false, code ?? 'silent');
        throw error instanceof LedgerUnavailableError
          ? error
          : new LedgerUnavailableError(`not reachable (${code})`);
      }
      // The driver's errors carry the query with its values.
      throw code === undefined ? error : new LedgerRefusalError(code);
    }
  }

  /**
   * Brings the schema up to date, by one process at a time, while services run. Waits until the ledger is
   * available.
   * @param folder of drizzle-kit's migrations
   */
  async migrate(signal: AbortSignal, folder = MIGRATIONS): Promise<void> {
    while (!signal.aborted) {
      const sql = this.#connect({ max: 1, onnotice: () => undefined });
      try {
        await sql`select set_config('lock_timeout', ${`${LOCK_TIMEOUT_MS}`}, false)`;
        await sql`select pg_advisory_lock(${MIGRATION_LOCK})`;
        return await migrate(drizzle(sql), { migrationsFolder: folder });
      } catch (error) {
        this.#log.warn({ ledger: this.#name, reason: codeOf(error) ?? 'unknown' }, 'not migrated yet');
        await sleep(MIGRATE_AGAIN_MS, undefined, { signal }).catch(() => undefined);
      } finally {
        await sql.end({ timeout: 0 }).catch(() => undefined);
      }
    }
  }

  async close(): Promise<void> {
    await this.#pool.sql.end({ timeout: 1 }).catch(() => undefined);
  }

  #open() {
    const sql = this.#connect({ max: 4 });
    return { sql, db: drizzle(sql) };
  }

  #connect(options: postgres.Options<Record<string, never>>): postgres.Sql {
    const sql = postgres(this.#url, {
      connect_timeout: 3,
      idle_timeout: 60,
      prepare: false,
      fetch_types: false,
      connection: { application_name: `warmwind-${this.#name}` },
      ...options,
    });
    return withSafeTransactions(sql);
  }

  /** Logs one line for each loss and each recovery. */
  #reportState(up: boolean, reason = ''): void {
    if (up === this.#up) return;
    this.#up = up;
    if (up) this.#log.info({ ledger: this.#name }, 'ledger recovered');
    else this.#log.warn({ ledger: this.#name, reason }, 'ledger unavailable');
  }
}

/**
 * The connection failed, or the server is starting, stopping, full, read-only or not yet migrated: the query
 * itself is valid.
 */
const AWAY = /^(08|53|57P|25006|42P01|42703|CONNECT|CONNECTION_|E[A-Z]+$)/;

/** The SQLSTATE or socket error, also below drizzle's own. */
function codeOf(error: unknown): string | undefined {
  for (let at = error; at instanceof Error; at = at.cause) {
    const { code } = at as { code?: unknown };
    if (typeof code === 'string') return code;
  }
  return undefined;
}
