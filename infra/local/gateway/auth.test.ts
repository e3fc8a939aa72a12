import { request } from 'node:http';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startGateway, type TestGateway, TOKEN } from './testing.ts';

let gateway: TestGateway;

beforeAll(async () => {
  gateway = await startGateway();
});
afterAll(() => gateway.stop());

/** A request as raw as Node lets it be: `fetch` would tidy the path. */
function send(method: string, path: string, headers: Record<string, string>): Promise<number> {
  const { hostname, port } = new URL(gateway.url);
  return new Promise((resolve, reject) => {
    const sent = request({ hostname, port, method, path, headers }, (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode ?? 0));
    });
    sent.on('error', reject);
    sent.end(method === 'POST' || method === 'PUT' ? '["SET","reached","1"]' : undefined);
  });
}

const methods = fc.constantFrom('GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS');
const known = [
  '',
  'pipeline',
  'multi-exec',
  'metrics',
  'health',
  'health/ready/',
  'health/live/x',
  'Health/Live',
];
const paths = fc.oneof(
  fc.constantFrom(...known, 'set/reached/1', '/health/live', '%6detrics', 'health%2flive', 'subscribe/x'),
  fc.array(fc.webSegment(), { maxLength: 4 }).map((segments) => segments.join('/')),
);
const credentials = fc.oneof(
  fc.constant({}),
  fc
    .constantFrom(
      ...[
        TOKEN,
        `bearer${TOKEN}`,
        `Basic ${TOKEN}`,
        'Bearer',
        `Bearer ${TOKEN}x`,
        `Bearer ${TOKEN.slice(1)}`,
      ],
    )
    .map((authorization) => ({ authorization })),
  fc.base64String({ maxLength: 40 }).map((token) => ({ authorization: `Bearer ${token}` })),
);
const queries = fc.constantFrom('', `?_token=${TOKEN}`, `?token=${TOKEN}`);

test('without the token every method on every path but the two probes answers 401 and reaches nothing', async () => {
  const isProbe = (method: string, path: string) =>
    ['GET', 'HEAD'].includes(method) && ['health/live', 'health/ready'].includes(path);
  await fc.assert(
    fc.asyncProperty(methods, paths, queries, credentials, async (method, path, query, headers) => {
      fc.pre(!isProbe(method, path));
      expect(await send(method, `/${path}${query}`, headers)).toBe(401);
    }),
    { numRuns: 300 },
  );
  for (const probe of ['live', 'ready']) {
    for (const method of ['POST', 'PUT', 'DELETE']) {
      expect(await send(method, `/health/${probe}`, {})).toBe(401);
    }
  }
  expect(await gateway.redis.client.dbsize()).toBe(0);
});

test('the probes need no token, the metrics do', async () => {
  expect(await send('GET', '/health/live', {})).toBe(200);
  expect(await send('GET', '/health/ready', {})).toBe(200);
  const response = await fetch(`${gateway.url}/metrics`, { headers: { Authorization: `Bearer ${TOKEN}` } });
  expect(await response.text()).toContain('warmwind_gateway_requests_total{outcome="unauthenticated"}');
});

test('a token in the URL is refused even with a good one in the header, so that it cannot become data', async () => {
  const answer = await gateway.send(`/rpush/list/a?_token=${TOKEN}`);
  expect(answer).toEqual({ status: 400, body: { error: expect.stringContaining('a token in the URL') } });
  expect(JSON.stringify(answer)).not.toContain(TOKEN);
});
