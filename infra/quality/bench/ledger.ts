import { mkdtemp, rm } from 'node:fs/promises';
import { Agent, get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildEdge } from '../../../edge/build.ts';
import { startEdge } from '../../local/edge/serve.ts';
import { AUTH_SECRET, signToken, WEBHOOK_SECRET } from '../../local/edge/testing.ts';
import { startPooler } from '../testing/pooler.ts';
import { startPostgres } from '../testing/postgres.ts';
import { buildBare, UUID } from './bare.ts';
import { closeClient, round, submit, UNLIMITED } from './client.ts';
import { spawnGateway } from './gateway.ts';
import { type Figure, median, percentile, report } from './report.ts';
import { startWireRecorder } from './wire.ts';

/**
 * Compares the ledger with and without a pooler, in turn: an accepted `POST /containers/start`, and the steps of which
 * its time with the ledger consists.
 */
const ROUNDS = Number(process.env.ROUNDS ?? 12);
const REQUESTS = Number(process.env.REQUESTS ?? 100);
/** Rounds before the first that counts. */
const WARM_UP = Number(process.env.WARM_UP ?? 6);
/** At eight submissions in flight. */
const TARGETS = { pooledMs: 30, rates: 2.5 };

const dir = await mkdtemp(join(tmpdir(), 'warmwind-bench-'));
const bundle = await buildEdge(dir);
const steps = await buildBare(bundle, import.meta.resolve('./steps.ts'));
const gateway = await spawnGateway();
const postgres = await startPostgres({ migrated: true });
const pooler = await startPooler(postgres.url);
const serve = (ledger: string | undefined) =>
  startEdge({
    bundle,
    bindings: {
      ...UNLIMITED,
      UPSTASH_REDIS_REST_URL: gateway.url,
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

/** The statement of one submission. */
async function recordedStatements(): Promise<string> {
  const wire = await startWireRecorder(postgres.url);
  const edge = await serve(wire.url);
  await submit(edge.url, await signToken({ sub: 'bench' }));
  await edge.stop();
  wire.stop();
  return JSON.stringify(wire.statements);
}

type Sample = { times: number[]; perSecond: number };
/** Sends requests, so many at once. */
type Load = (inFlight: number) => Promise<Sample>;

/** Measures all in turn, so that noise affects all alike. */
async function measure<Name extends string>(loads: Record<Name, Load>, inFlight: number) {
  const names = Object.keys(loads) as Name[];
  const samples = {} as Record<Name, Sample[]>;
  for (const name of names) samples[name] = [];
  for (let i = 0; i < ROUNDS; i++) {
    for (const name of names) samples[name].push(await loads[name](inFlight));
  }
  return samples;
}

const p50 = (samples: Sample[]) => median(samples.flatMap(({ times }) => times));
const figures = (name: string, samples: Sample[], atMost?: number): Figure[] => [
  { name: `${name} p50`, value: p50(samples), unit: 'ms', ...(atMost ? { target: { atMost } } : {}) },
  {
    name: `${name} p95`,
    value: percentile(
      samples.flatMap(({ times }) => times),
      95,
    ),
    unit: 'ms',
  },
  { name: `${name} rate`, value: median(samples.map(({ perSecond }) => perSecond)), unit: '/s' },
];

async function submissions(): Promise<boolean> {
  const edges = {
    off: await serve(undefined),
    direct: await serve(postgres.url),
    pooled: await serve(pooler.url),
  };
  const load =
    ({ url }: { url: string }): Load =>
    (inFlight) =>
      round(url, { requests: REQUESTS, inFlight });
  const loads = { off: load(edges.off), direct: load(edges.direct), pooled: load(edges.pooled) };
  for (let i = 0; i < WARM_UP; i++) for (const one of Object.values(loads)) await one(8);
  let met = true;
  for (const inFlight of [1, 8]) {
    const { off, direct, pooled } = await measure(loads, inFlight);
    const wanted = inFlight === 8;
    const ratios = pooled.map(({ perSecond }, i) => perSecond / (direct[i]?.perSecond ?? Number.NaN));
    const all: Figure[] = [
      ...figures('without a ledger', off),
      ...figures('direct', direct),
      ...figures('pooled', pooled, wanted ? TARGETS.pooledMs : undefined),
      {
        name: 'rate, pooled / direct',
        value: median(ratios),
        unit: '×',
        ...(wanted ? { target: { atLeast: TARGETS.rates } } : {}),
      },
    ];
    met =
      report(`POST /containers/start, ${inFlight} in flight, ${ROUNDS} × ${REQUESTS} requests each`, all) &&
      met;
  }
  for (const edge of Object.values(edges)) await edge.stop();
  return met;
}

const agent = new Agent({ keepAlive: true });
/** @returns the time until the answer was read, ms */
const timed = (url: string): Promise<number> =>
  new Promise((resolve, reject) => {
    const start = performance.now();
    get(url, { agent }, (response) => {
      response.resume().on('end', () => {
        if (response.statusCode === 200) resolve(performance.now() - start);
        else reject(new Error(`${url} answered ${response.statusCode}`));
      });
    }).on('error', reject);
  });

async function timeSteps(): Promise<void> {
  const STATEMENTS = await recordedStatements();
  const bindings = { STATEMENTS, IDS: JSON.stringify([...new Set(STATEMENTS.match(UUID))]) };
  const start = (ledger: string) =>
    startEdge({ bundle: steps, bindings, hyperdrives: { LEDGER_DB: ledger } });
  const workers = { direct: await start(postgres.url), pooled: await start(pooler.url) };
  const load =
    (url: string): Load =>
    async (inFlight) => {
      const times: number[] = [];
      let left = REQUESTS;
      const client = async () => {
        while (left-- > 0) times.push(await timed(url));
      };
      const begun = performance.now();
      await Promise.all(Array.from({ length: inFlight }, client));
      return { times, perSecond: (REQUESTS / (performance.now() - begun)) * 1000 };
    };
  const loads = Object.fromEntries(
    Object.entries(workers).flatMap(([name, { url }]) =>
      ['connect', 'login', 'statement'].map((step) => [`${name}: ${step}`, load(`${url}/${step}`)] as const),
    ),
  );
  for (let i = 0; i < WARM_UP; i++) for (const one of Object.values(loads)) await one(8);
  for (const inFlight of [1, 8]) {
    const samples = await measure(loads, inFlight);
    const all = Object.entries(samples).map(([name, taken]) => ({
      name: `${name} p50`,
      value: p50(taken),
      unit: 'ms',
    }));
    report(`up to this step of a request, ${inFlight} in flight`, all);
  }
  for (const worker of Object.values(workers)) await worker.stop();
}

const met = await submissions();
await timeSteps();
closeClient();
agent.destroy();
await gateway.stop();
await pooler.stop();
await postgres.stop();
await rm(dir, { recursive: true, force: true });
await rm(steps.dir, { recursive: true, force: true });
process.exitCode = met ? 0 : 1;
