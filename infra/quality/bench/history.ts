import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { listJobs } from '@warmwind/shared/engine/ledger/reads';
import { Ledger } from '@warmwind/shared/engine/node/ledger';
import { createLog } from '@warmwind/shared/runtime/node/log';
import { buildEdge } from '../../../edge/build.ts';
import { prune } from '../../../workers/leader/retention.ts';
import { startEdge } from '../../local/edge/serve.ts';
import { AUTH_SECRET, WEBHOOK_SECRET } from '../../local/edge/testing.ts';
import { startPostgres } from '../testing/postgres.ts';
import { waitFor } from '../testing/wait.ts';
import { closeClient, round, UNLIMITED } from './client.ts';
import { fillLedger, HEAVY } from './fill.ts';
import { spawnGateway } from './gateway.ts';
import { measureLists, remember } from './lists.ts';
import { measureDrain, measurePlacements } from './outbox.ts';
import { type Figure, percentile, report } from './report.ts';

/** Measures the lists, the retention and the outbox of a ledger with two million jobs. */
const JOBS = Number(process.env.JOBS ?? 2_000_000);
const PAGES = Number(process.env.PAGES ?? 150);
/**
 * The number of the page that is compared with the first one; each page of the rare state spans 16,000 jobs.
 */
const DEEP = Number(process.env.DEEP ?? 100);
const ROUNDS = Number(process.env.ROUNDS ?? 6);
const REQUESTS = Number(process.env.REQUESTS ?? 200);
/** The number of jobs whose changes are moved into the ledger, and of placements of each kind. */
const MOVED = Number(process.env.MOVED ?? 5000);
const PLACEMENTS = Number(process.env.PLACEMENTS ?? 300);
const DAY_MS = 86_400_000;
const RETENTION_DAYS = 90;
const SERVER = ['shared_buffers=256MB', 'maintenance_work_mem=256MB', 'max_wal_size=4GB'];

const log = createLog('bench');
const dir = await mkdtemp(join(tmpdir(), 'warmwind-bench-'));
const bundle = await buildEdge(dir);
const gateway = await spawnGateway();
const redis = gateway.redis.client;
const postgres = await startPostgres({ migrated: true, args: SERVER.flatMap((setting) => ['-c', setting]) });
const ledger = new Ledger(postgres.url, 'bench', log, 30_000);
const edge = await startEdge({
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
  },
  hyperdrives: { LEDGER_DB: postgres.url },
});

const start = performance.now();
await fillLedger(postgres.sql, JOBS, new Date(Date.now() - RETENTION_DAYS * DAY_MS));
const since = new Date(Date.now() - DAY_MS);
const page = { userId: HEAVY, since, until: undefined, before: undefined, limit: JOBS };
const today = await ledger.run((db) => listJobs(db, page, { state: undefined, kind: undefined }));
await remember(redis, today);
console.log(
  `${JOBS} jobs, ${JOBS / 4} of them of one user, ${today.length} of those also in Redis (made in ${Math.round((performance.now() - start) / 1000)} s)`,
);

/** Measures submissions with and without concurrent retention, in turn. */
async function measureRetention(): Promise<Figure[]> {
  const calm: number[] = [];
  const pruning: number[] = [];
  let rows = 0;
  let busyMs = 0;
  for (let i = 0; i < ROUNDS; i++) {
    calm.push(...(await round(edge.url, { requests: REQUESTS, inFlight: 4 })).times);
    const before = rows;
    const began = performance.now();
    const enough = new AbortController();
    const onPruned = (_: string, some: number) => {
      rows += some;
    };
    const work = prune({ ledger, days: RETENTION_DAYS, onPruned }, enough.signal);
    await waitFor('retention to begin', () => rows > before);
    pruning.push(...(await round(edge.url, { requests: REQUESTS, inFlight: 4 })).times);
    enough.abort();
    await work;
    busyMs += performance.now() - began;
  }
  const [without, alongside] = [percentile(calm, 95), percentile(pruning, 95)];
  return [
    { name: 'rows pruned', value: (rows / busyMs) * 1000, unit: '/s' },
    { name: 'submission p95', value: without, unit: 'ms' },
    { name: 'submission p95 during retention', value: alongside, unit: 'ms' },
    {
      name: 'p95, during retention / without',
      value: alongside / without,
      unit: '×',
      target: { atMost: 1.5 },
    },
  ];
}

const parts = { redis, ledger, log };
const all: [title: string, figures: Figure[]][] = [
  ['GET /jobs of that user, first and a deep page in turn', await measureLists(edge.url, PAGES, DEEP)],
  ['retention of a quarter of all jobs, 4 submissions in flight', await measureRetention()],
  ['workers', [...(await measureDrain(parts, MOVED)), ...(await measurePlacements(parts, PLACEMENTS))]],
];
let met = true;
for (const [title, figures] of all) met = report(title, figures) && met;

closeClient();
await ledger.close();
await edge.stop();
await gateway.stop();
await postgres.stop();
await rm(dir, { recursive: true, force: true });
process.exitCode = met ? 0 : 1;
