import { withTimeout } from '@warmwind/shared/runtime/timeout';
import postgres from 'postgres';
import { parentOf } from './processes.ts';

const ANSWER_WITHIN_MS = 2000;

/** Does the PostgreSQL of this URL answer a query, as process `pid`? */
export async function postgresAnswers(url: string, pid: number): Promise<boolean> {
  const sql = postgres(url, { max: 1, connect_timeout: 1, fetch_types: false });
  try {
    const rows = await withTimeout(sql<{ pid: number }[]>`select pg_backend_pid() as pid`, ANSWER_WITHIN_MS);
    return rows[0] !== undefined && parentOf(rows[0].pid) === pid;
  } catch {
    return false;
  } finally {
    await sql.end({ timeout: 0 }).catch(() => undefined);
  }
}
