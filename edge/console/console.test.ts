import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestEdge, type TestEdge } from '../../infra/edge/testing.ts';

let edge: TestEdge;

beforeAll(async () => {
  edge = await startTestEdge({ RELAY_URL: 'https://relay.example' }, { ledger: false });
});
afterAll(() => edge?.stop());

test.each([
  ['/', 'text/html'],
  ['/console.js', 'text/javascript'],
  ['/console.css', 'text/css'],
])('%s comes without a token, and may talk to this edge and its relay alone', async (path, type) => {
  const response = await edge.raw(undefined, path);
  expect([response.status, response.headers.get('Content-Type')]).toEqual([200, `${type}; charset=utf-8`]);
  const policy = response.headers.get('Content-Security-Policy') ?? '';
  expect(policy).toContain("default-src 'none'");
  expect(policy).toContain("connect-src 'self' https://relay.example wss://relay.example;");
  expect(policy).toContain("script-src 'self';");
  expect(policy).toContain("frame-ancestors 'none'");
  expect((await response.text()).length).toBeGreaterThan(500);
});
