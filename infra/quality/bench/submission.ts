import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildEdge } from '../../../edge/build.ts';
import { startEdge } from '../../local/edge/serve.ts';
import { AUTH_SECRET, signToken, WEBHOOK_SECRET } from '../../local/edge/testing.ts';
import { startPooler } from '../testing/pooler.ts';
import { startPostgres } from '../testing/postgres.ts';
import { buildBare, startBare } from './bare.ts';
import { closeClient, round, submit, UNLIMITED } from './client.ts';
import { type Contender, compare } from './compare.ts';
import { spawnGateway } from './gateway.ts';
import { startRecorder, type Trip } from './recorder.ts';
import { report } from './report.ts';
import { type Statement, startWireRecorder } from './wire.ts';

/**
 * Compares an accepted `POST /containers/start` at the edge with a bare Worker in the same runtime that makes
 * the same trips and nothing else; with the ledger behind its pooler, and without a ledger.
 */
const ROUNDS = Number(process.env.ROUNDS ?? 10);
/** Requests of one round; fewer with the ledger, which is slower. */
const REQUESTS = { on: Number(process.env.REQUESTS ?? 100), off: Number(process.env.REQUESTS ?? 400) };
/** Rounds before the first that counts. */
const WARM_UP = Number(process.env.WARM_UP ?? 8);
const TARGET = { atMost: 1.3 };

const dir = await mkdtemp(join(tmpdir(), 'warmwind-bench-'));
const bundle = await buildEdge(dir);
const bareBundle = await buildBare(bundle);
const gateway = await spawnGateway();
const postgres = await startPostgres({ migrated: true });
const pooler = await startPooler(postgres.url);
const serve = (rest: string, ledger: string | undefined) =>
  startEdge({
    bundle,
    bindings: {
      ...UNLIMITED,
      UPSTASH_REDIS_REST_URL: rest,
      UPSTASH_REDIS_REST_TOKEN: gateway.token,
      AUTH_SECRET,
      WEBHOOK_SECRET,
      RELAY_URL: 'http://127.0.0.1',
      LIMITER_TIMEOUT_MS: '5000',
      SUBMIT_TIMEOUT_MS: '5000',
      LEDGER: ledger ? 'on' : 'off',
    },
    ...(ledger ? { hyperdrives: { LEDGER_DB: ledger } } : {}),
  });

/**
 * Records the edge's requests for a submission: the second one, as the first one also loads scripts into
 * Redis.
 */
async function record(ledger: boolean): Promise<{ trips: Trip[]; statements: Statement[] }> {
  const rest = await startRecorder(gateway.url);
  const wire = await startWireRecorder(postgres.url);
  const edge = await serve(rest.url, ledger ? wire.url : undefined);
  const bearer = await signToken({ sub: 'bench' });
  await submit(edge.url, bearer);
  rest.trips.length = 0;
  wire.statements.length = 0;
  await submit(edge.url, bearer);
  await edge.stop();
  rest.stop();
  wire.stop();
  return { trips: rest.trips, statements: wire.statements };
}

let met = true;
for (const ledger of ['on', 'off'] as const) {
  const on = ledger === 'on';
  const title = `POST /containers/start, LEDGER=${ledger}`;
  const { trips, statements } = await record(on);
  met =
    report(`${title}: one accepted submission`, [
      { name: 'REST trips', value: trips.length, unit: '', target: { atMost: 2 } },
      { name: 'statements', value: statements.length, unit: '', target: { atMost: on ? 1 : 0 } },
    ]) && met;
  const edge = await serve(gateway.url, on ? pooler.url : undefined);
  const bare = await startBare({
    bundle: bareBundle,
    trips,
    rest: gateway,
    ...(on ? { ledger: { url: pooler.url, statements } } : {}),
  });
  const contenders = (target?: { atMost: number }): Contender[] => [
    { name: 'edge', url: edge.url, ...(target ? { target } : {}) },
    ...(on ? [{ name: 'edge with Idempotency-Key', url: edge.url, keyed: true }] : []),
    { name: 'bare Worker', url: bare.url },
  ];
  const requests = REQUESTS[ledger];
  // Measure warm servers, whose hot code is compiled.
  for (let i = 0; i < WARM_UP; i++) {
    for (const { url, keyed = false } of contenders()) await round(url, { requests, inFlight: 8, keyed });
  }
  for (const inFlight of [1, 8]) {
    // The target is for one request at a time: no request waits for the work of another.
    const figures = await compare(contenders(inFlight === 1 ? TARGET : undefined), {
      rounds: ROUNDS,
      requests,
      inFlight,
    });
    met = report(`${title}, ${inFlight} in flight, ${ROUNDS} × ${requests} requests each`, figures) && met;
  }
  await edge.stop();
  await bare.stop();
}

closeClient();
await gateway.stop();
await pooler.stop();
await postgres.stop();
await rm(dir, { recursive: true, force: true });
await rm(bareBundle.dir, { recursive: true, force: true });
process.exitCode = met ? 0 : 1;
