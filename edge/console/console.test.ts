import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestEdge, type TestEdge } from '../../infra/local/edge/testing.ts';

let edge: TestEdge;

beforeAll(async () => {
  edge = await startTestEdge({ RELAY_URL: 'https://relay.example' }, { ledger: false });
});
afterAll(() => edge?.stop());

test.each([
  ['/', 'text/html'],
  ['/console.js', 'text/javascript'],
  ['/terminal-view.js', 'text/javascript'],
  ['/console.css', 'text/css'],
])('%s comes without a token, and may talk to this edge and its relay alone', async (path, type) => {
  const response = await edge.raw(undefined, path);
  expect([response.status, response.headers.get('Content-Type')]).toEqual([200, `${type}; charset=utf-8`]);
  const policy = response.headers.get('Content-Security-Policy') ?? '';
  expect(policy).toContain("default-src 'none'");
  expect(policy).toContain("connect-src 'self' https://relay.example wss://relay.example;");
  expect(policy).toContain("script-src 'self';");
  expect(policy).toContain("frame-ancestors 'none'");
  expect(response.headers.get('X-Frame-Options')).toBe('DENY');
  expect((await response.text()).length).toBeGreaterThan(500);
});

test('pages of permitted origins may frame the page of share links, and nothing else', async () => {
  const open = await startTestEdge(
    { CORS_ORIGINS: 'https://app.example, https://b.example:8443' },
    { ledger: false },
  );
  try {
    const { headers } = await open.raw(undefined, '/');
    expect(headers.get('Content-Security-Policy')).toContain(
      "frame-ancestors 'self' https://app.example https://b.example:8443",
    );
    expect(headers.get('X-Frame-Options')).toBeNull();
    for (const path of ['/docs', '/jobs', '/health/live']) {
      const other = await open.raw('ada', path);
      expect([path, other.headers.get('X-Frame-Options')]).toEqual([path, 'DENY']);
      expect(other.headers.get('Content-Security-Policy')).toContain("frame-ancestors 'none'");
    }
  } finally {
    await open.stop();
  }
});
