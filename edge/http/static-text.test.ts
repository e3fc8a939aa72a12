import { request } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type RunningEdge, startEdge } from '../../infra/local/edge/serve.ts';
import { AUTH_SECRET, bundleOnce, WEBHOOK_SECRET } from '../../infra/local/edge/testing.ts';
import { acceptsGzip } from './static-text.ts';

/** In workerd only: Cloudflare, and so Miniflare, compresses and decompresses the answers of a Worker. */
let edge: RunningEdge;

beforeAll(async () => {
  const bindings = {
    AUTH_SECRET,
    WEBHOOK_SECRET,
    UPSTASH_REDIS_REST_URL: 'http://127.0.0.1:1',
    UPSTASH_REDIS_REST_TOKEN: 'token-of-no-gateway',
    RELAY_URL: 'http://relay.test/',
    LEDGER: 'off',
    CORS_ORIGINS: 'https://console.test',
  };
  edge = await startEdge({ bundle: await bundleOnce(), bindings });
});
afterAll(() => edge?.stop());

/** Requests the bytes of the wire: `fetch` would decompress them. */
function get(path: string, headers: Record<string, string> = {}, method = 'GET') {
  return new Promise<{ status: number; headers: Record<string, unknown>; body: Buffer }>(
    (resolve, reject) => {
      request(edge.url + path, { method, headers }, async (response) => {
        const body = await buffer(response);
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body });
      })
        .on('error', reject)
        .end();
    },
  );
}

const PATHS = [
  '/',
  '/console.js',
  '/terminal-view.js',
  '/console.css',
  '/favicon.ico',
  '/robots.txt',
  '/docs',
  '/docs/start.js',
  '/docs/swagger-ui-bundle.js',
  '/docs/swagger-ui.css',
];
const ORIGIN = { Origin: 'https://console.test' };

test.each(PATHS)('%s has a strong ETag, is compressed, and is not sent twice', async (path) => {
  const plain = await get(path);
  expect(plain.status).toBe(200);
  expect(plain.headers.etag).toMatch(/^"[^"]+"$/);
  expect(plain.headers).not.toHaveProperty('content-encoding');
  for (const headers of [{}, ORIGIN]) {
    const packed = await get(path, { 'Accept-Encoding': 'br, gzip;q=0.8', ...headers });
    expect(packed.headers['content-encoding']).toBe('gzip');
    expect(packed.headers.vary).toContain('Accept-Encoding');
    expect(packed.headers.etag).not.toBe(plain.headers.etag);
    expect(packed.headers['content-security-policy']).toBe(plain.headers['content-security-policy']);
    expect(packed.headers['content-type']).toBe(plain.headers['content-type']);
    expect(gunzipSync(packed.body).equals(plain.body)).toBe(true);
    if (plain.body.length > 10_000) expect(packed.body.length).toBeLessThan(plain.body.length / 2);

    const tag = String(packed.headers.etag);
    for (const known of [tag, `"other", W/${tag}`, '*']) {
      const again = await get(path, { 'Accept-Encoding': 'gzip', 'If-None-Match': known, ...headers });
      expect([again.status, again.body.length, again.headers.etag]).toEqual([304, 0, tag]);
      expect(again.headers['cache-control']).toBe(packed.headers['cache-control']);
    }
    const other = await get(path, { 'If-None-Match': '"other"', ...headers });
    expect(other.status).toBe(200);
  }
  const head = await get(path, { 'Accept-Encoding': 'gzip' }, 'HEAD');
  expect([head.status, head.body.length]).toEqual([200, 0]);
});

test.each([
  [undefined, false],
  ['', false],
  ['identity', false],
  ['br', false],
  ['gzip', true],
  ['GZIP ; Q=0.5', true],
  ['gzip;q=0', false],
  ['gzip; q=0.0, *', false],
  ['*', true],
  ['*;q=0', false],
  ['deflate, gzip, br', true],
])('Accept-Encoding: %s accepts gzip: %s', (header, accepted) => {
  expect(acceptsGzip(header)).toBe(accepted);
});
