import postgres from 'postgres';
import type { Statement } from './wire.ts';

/**
 * A Worker that does a part of what the edge does to record a submission: `/connect` opens a socket, `/login`
 * logs in as well, `/statement` also sends the recorded statement.
 */
type Bindings = {
  STATEMENTS: string;
  IDS: string;
  LEDGER_DB: {
    connectionString: string;
    connect: () => { opened: Promise<unknown>; close: () => Promise<void> };
  };
};

const worker = {
  async fetch(
    request: Request,
    { LEDGER_DB, STATEMENTS, IDS }: Bindings,
    context: { waitUntil: (work: Promise<unknown>) => void },
  ): Promise<Response> {
    const step = new URL(request.url).pathname;
    if (step === '/connect') {
      const socket = LEDGER_DB.connect();
      await socket.opened;
      context.waitUntil(socket.close());
      return new Response();
    }
    const sql = postgres(LEDGER_DB.connectionString, { max: 1, prepare: false, fetch_types: false });
    // The answer to an empty statement follows the login at once.
    if (step === '/login') await sql.unsafe('').simple();
    else await record(sql, STATEMENTS, JSON.parse(IDS) as string[]);
    context.waitUntil(sql.end({ timeout: 0 }));
    return new Response();
  },
};

async function record(sql: postgres.Sql, statements: string, ids: string[]): Promise<void> {
  let fresh = statements;
  for (const id of ids) fresh = fresh.replaceAll(id, crypto.randomUUID());
  for (const { text, params = [] } of JSON.parse(fresh) as Statement[]) await sql.unsafe(text, params);
}

export default worker;
