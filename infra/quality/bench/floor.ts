import postgres from 'postgres';
import type { Trip } from './recorder.ts';
import type { Statement } from './wire.ts';

/**
 * A Worker that repeats one recorded submission for each request, with fresh ids, and does nothing else: the
 * script, then the add and the insert in parallel. It is the baseline for the edge's own work.
 */
type Bindings = {
  TRIPS: string;
  STATEMENTS: string;
  IDS: string;
  REST_URL: string;
  REST_TOKEN: string;
  LEDGER_DB?: { connectionString: string };
};
type Recorded = { script: Trip; add: Trip; statements: Statement[]; ids: string[] };

const hex = (text: string): string => [...text].map((c) => c.charCodeAt(0).toString(16)).join('');
let recorded: Recorded | undefined;

async function trip({ path, body }: Trip, { REST_URL, REST_TOKEN }: Bindings): Promise<void> {
  const response = await fetch(REST_URL + path, {
    method: 'POST',
    headers: { authorization: `Bearer ${REST_TOKEN}`, 'content-type': 'application/json' },
    body,
  });
  await response.json();
  if (!response.ok) throw new Error(`Redis answered ${response.status}`);
}

const worker = {
  async fetch(
    request: Request,
    env: Bindings,
    context: { waitUntil: (work: Promise<unknown>) => void },
  ): Promise<Response> {
    await request.text();
    recorded ??= read(env);
    const { script, add, statements, ids } = recorded;
    const fresh = ids.map((id) => [id, crypto.randomUUID()] as const);
    const renew = (text: string): string => {
      let sent = text;
      for (const [old, id] of fresh) sent = sent.replaceAll(old, id).replaceAll(hex(old), hex(id));
      return sent;
    };
    const insert = async (): Promise<void> => {
      if (!env.LEDGER_DB) return;
      const { connectionString } = env.LEDGER_DB;
      const sql = postgres(connectionString, { max: 1, prepare: false, fetch_types: false });
      for (const { text, params } of statements) {
        await sql.unsafe(
          renew(text),
          params?.map((value) => (value === null ? null : renew(value))),
        );
      }
      context.waitUntil(sql.end({ timeout: 0 }));
    };
    await trip({ ...script, body: renew(script.body) }, env);
    await Promise.all([trip({ ...add, body: renew(add.body) }, env), insert()]);
    return Response.json({ jobId: fresh[0]?.[1] }, { status: 202 });
  },
};

function read({ TRIPS, STATEMENTS, IDS }: Bindings): Recorded {
  const [script, add] = JSON.parse(TRIPS) as [Trip, Trip];
  return { script, add, statements: JSON.parse(STATEMENTS) as Statement[], ids: JSON.parse(IDS) as string[] };
}

export default worker;
