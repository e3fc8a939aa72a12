import { basename, dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startMiniflare } from '../../local/edge/miniflare.ts';
import type { RunningEdge } from '../../local/edge/serve.ts';
import { signToken } from '../../local/edge/testing.ts';
import { startGateway, type TestGateway, TOKEN } from '../../local/gateway/testing.ts';
import { startPostgres, type TestPostgres } from '../../quality/testing/postgres.ts';
import { PLATFORM_WITHIN_MS, SECRETS, Tree } from './diff.ts';

let tree: Tree;
let gateway: TestGateway;
let postgres: TestPostgres;
let edge: RunningEdge;
const lines: string[] = [];

/** The file that `sst deploy` would upload, in Miniflare, with the bindings and the static files that it would get. */
beforeAll(async () => {
  [tree, gateway, postgres] = await Promise.all([
    Tree.create(),
    startGateway(),
    startPostgres({ migrated: true }),
  ]);
  const script = (await tree.diff('dev')).one(':WorkersScript', 'EdgeScript');
  const texts: Record<string, string> = {};
  const hyperdrives: Record<string, string> = {};
  for (const { type, name, text } of script.bindings) {
    if (type === 'hyperdrive') hyperdrives[name] = postgres.url;
    if (type === 'plain_text' || type === 'secret_text') texts[name] = text;
  }
  edge = await startMiniflare({
    assets: join(tree.root, 'edge/dist/assets'),
    bundle: {
      dir: dirname(script.contentFile),
      main: basename(script.contentFile),
      texts: [],
      compatibilityDate: script.compatibilityDate,
      compatibilityFlags: script.compatibilityFlags,
    },
    bindings: {
      ...texts,
      // In place of Upstash.
      UPSTASH_REDIS_REST_URL: gateway.url,
      SST_RESOURCE_QueueToken: JSON.stringify({ value: TOKEN }),
      LIMITER_TIMEOUT_MS: '5000',
      SUBMIT_TIMEOUT_MS: '5000',
    },
    hyperdrives,
    onLine: (line) => lines.push(line),
  });
}, PLATFORM_WITHIN_MS);
afterAll(async () => {
  await edge?.stop();
  await Promise.all([gateway?.stop(), postgres?.stop(), tree?.remove()]);
});

it('the built Worker finds its secrets, its Redis and its ledger, and takes a job', async () => {
  const token = await signToken({ sub: 'ada' }, SECRETS.AuthSecret);
  const response = await fetch(`${edge.url}/containers/start`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${token}` },
  });
  expect([response.status, lines.filter((line) => line.includes('error'))]).toEqual([202, []]);
  const { jobId } = (await response.json()) as { jobId: string };
  const rows = await postgres.sql`select state from jobs where id = ${jobId}`;
  expect(rows).toHaveLength(1);
});

it('the script of its documentation page is a static file, which browsers may keep', async () => {
  const script = await fetch(`${edge.url}/docs/swagger-ui-bundle.js`);
  expect([script.status, script.headers.get('Cache-Control')]).toEqual([200, 'public, max-age=3600']);
  expect((await script.text()).length).toBeGreaterThan(1_000_000);
});

it('it does not know a token that another secret has signed', async () => {
  const token = await signToken({ sub: 'ada' });
  const response = await fetch(`${edge.url}/jobs`, { headers: { Authorization: `Bearer ${token}` } });
  expect(response.status).toBe(401);
});
