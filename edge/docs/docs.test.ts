import { CALL_COMMANDS, JOB_COMMANDS } from '@warmwind/shared/contract/registry';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestEdge, type TestEdge } from '../../infra/local/edge/testing.ts';

let edge: TestEdge;

beforeAll(async () => {
  edge = await startTestEdge({ CORS_ORIGINS: 'https://console.test' });
});
afterAll(() => edge?.stop());

const get = (path: string, headers = {}) => edge.call(undefined, 'GET', path, { headers });

describe('GET /openapi.json', () => {
  test('is cached by browsers and proxies, and 304 for those that have it, by any form of If-None-Match', async () => {
    const { headers } = await get('/openapi.json');
    const etag = headers.get('ETag') ?? '';
    expect(etag).toMatch(/^"[0-9a-f]{32}(-gzip)?"$/);
    expect(headers.get('Cache-Control')).toBe('public, max-age=60');
    for (const known of [etag, `W/${etag}`, `"x", ${etag}`, `"x" ,W/${etag},"y"`, '*']) {
      const again = await get('/openapi.json', { 'If-None-Match': known });
      expect([known, again.status, again.headers.get('ETag'), again.body.text]).toEqual([
        known,
        304,
        etag,
        '',
      ]);
    }
    for (const other of ['"x"', 'W/"x"', '', etag.slice(1, -1)]) {
      expect((await get('/openapi.json', { 'If-None-Match': other })).status).toBe(200);
    }
  });

  test('describes every route with its answers and errors', async () => {
    const { body } = await get('/openapi.json');
    expect(body.openapi).toBe('3.1.0');
    const paths = body.paths as Record<string, Record<string, { responses: object; security?: unknown }>>;
    const routes = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((m) => `${m} ${path}`),
    );
    const ofCommands = [...JOB_COMMANDS, ...CALL_COMMANDS].map(({ http }) => `${http.method} ${http.path}`);
    const others = [
      'delete /admin/hosts/{id}/drain',
      'delete /admin/users/{id}/limits',
      'get /admin/users/{id}/limits',
      'put /admin/users/{id}/limits',
      'delete /containers/{id}/files/{path}',
      'delete /containers/{id}/viewers/{viewerId}',
      'delete /jobs/{id}',
      'delete /realtime/tokens',
      'delete /realtime/tokens/{id}',
      'get /admin/hosts',
      'get /containers',
      'get /containers/{id}',
      'get /containers/{id}/files/{path}',
      'get /containers/{id}/viewers',
      'put /containers/{id}/files/{path}',
      'get /health/live',
      'get /health/ready',
      'get /jobs',
      'get /jobs/{id}',
      'get /jobs/{id}/events',
      'get /limits',
      'get /models',
      'get /realtime/tokens',
      'get /usage',
      'get /v1/models',
      'get /v1/models/{id}',
      'get /webhooks/secret',
      'get /webhooks/deliveries',
      'get /webhooks/deliveries/{id}',
      'delete /webhooks/deliveries/{id}',
      'post /webhooks/deliveries/{id}/resend',
      'post /webhooks/test',
      'post /admin/hosts/{id}/drain',
      'post /jobs/{id}/retry',
      'post /mcp',
      'post /realtime/token',
      'post /v1/chat/completions',
    ];
    expect(routes.toSorted()).toEqual([...ofCommands, ...others].toSorted());
    const start = paths['/containers/start']?.post;
    expect(Object.keys(start?.responses ?? {})).toEqual([
      '200',
      '202',
      '400',
      '401',
      '404',
      '408',
      '409',
      '413',
      '415',
      '429',
      '500',
      '503',
    ]);
    expect(start?.security).toEqual([{ bearer: [] }]);
  });
});

describe('GET /docs', () => {
  test('is a page whose every part comes from this origin and is allowed by its policy', async () => {
    const page = await get('/docs');
    expect(page.headers.get('Content-Type')).toContain('text/html');
    const policy = page.headers.get('Content-Security-Policy');
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("script-src 'self';");
    const parts = [...String(page.body.text).matchAll(/(?:src|href)="([^"]+)"/g)].map(
      ([, path]) => path ?? '',
    );
    expect(parts).toHaveLength(3);
    for (const path of parts) {
      const part = await fetch(edge.url + path);
      expect([path, part.status]).toEqual([path, 200]);
      expect((await part.text()).length).toBeGreaterThan(50);
    }
  });

  test('GET / names the product and links the documentation', async () => {
    expect((await get('/')).body.text).toContain('href="/docs"');
  });
});

describe('every answer', () => {
  test('keeps a valid X-Request-Id of the caller, and creates one otherwise', async () => {
    expect((await get('/health/live', { 'X-Request-Id': 'mine-1' })).headers.get('X-Request-Id')).toBe(
      'mine-1',
    );
    for (const strange of ['a b', 'x'.repeat(65), '"quoted"', '']) {
      const { headers } = await get('/health/live', { 'X-Request-Id': strange });
      expect(headers.get('X-Request-Id')).toMatch(/^[0-9a-f-]{36}$/);
    }
  });

  test('is safe to show and not stored', async () => {
    const { headers } = await edge.call('ada', 'GET', '/jobs');
    expect(headers.get('X-Content-Type-Options')).toBe('nosniff');
    expect(headers.get('Cache-Control')).toBe('no-store');
    expect(headers.get('Content-Security-Policy')).toContain("default-src 'none'");
  });

  test('may be read by configured origins only', async () => {
    const ours = await get('/health/live', { Origin: 'https://console.test' });
    expect(ours.headers.get('Access-Control-Allow-Origin')).toBe('https://console.test');
    const exposed = ours.headers.get('Access-Control-Expose-Headers');
    expect(exposed).toContain('Idempotent-Replayed');
    expect(exposed).toContain('Preference-Applied');
    const theirs = await get('/health/live', { Origin: 'https://evil.test' });
    expect(theirs.headers.get('Access-Control-Allow-Origin')).toBeNull();
  });

  test('may be read by pages from everywhere where all origins are configured', async () => {
    const open = await startTestEdge({ CORS_ORIGINS: '*' });
    try {
      const { headers } = await open.call(undefined, 'GET', '/health/live', {
        headers: { Origin: 'https://any.test' },
      });
      expect(headers.get('Access-Control-Allow-Origin')).toBe('https://any.test');
      expect(headers.get('Vary')).toContain('Origin');
    } finally {
      await open.stop();
    }
  });

  test('a preflight needs no token and HEAD has no body', async () => {
    const preflight = await fetch(`${edge.url}/containers/start`, {
      method: 'OPTIONS',
      headers: { Origin: 'https://console.test', 'Access-Control-Request-Method': 'POST' },
    });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get('Access-Control-Allow-Headers')).toContain('Idempotency-Key');
    expect(preflight.headers.get('Access-Control-Allow-Methods')).toContain('DELETE');
    const stock = 'authorization,content-type,x-stainless-lang,x-stainless-retry-count';
    const asks = async (origin: string, names: string) => {
      const headers = {
        Origin: origin,
        'Access-Control-Request-Method': 'POST',
        'Access-Control-Request-Headers': names,
      };
      const answer = await fetch(`${edge.url}/v1/chat/completions`, { method: 'OPTIONS', headers });
      return answer.headers.get('Access-Control-Allow-Headers')?.toLowerCase().split(',');
    };
    expect(await asks('https://console.test', stock)).toEqual(
      expect.arrayContaining([...stock.split(','), 'idempotency-key', 'last-event-id', 'prefer']),
    );
    const strange = await asks('https://console.test', `x-ok, a b, <x>, ${'y'.repeat(101)}`);
    expect(strange?.slice(7)).toEqual(['x-ok']);
    expect(await asks('https://evil.test', stock)).not.toContain('x-stainless-lang');
    const head = await fetch(`${edge.url}/health/live`, { method: 'HEAD' });
    expect([head.status, await head.text()]).toEqual([200, '']);
  });

  test('a request is one line of the log, with the fields that identify it', async () => {
    const { headers } = await edge.call('ada', 'POST', '/containers/start');
    const id = headers.get('X-Request-Id') ?? '';
    const lines = edge.lines.filter((line) => line.includes(id)).map((line) => JSON.parse(line));
    expect(lines).toEqual([
      expect.objectContaining({
        level: 'info',
        service: 'edge',
        requestId: id,
        method: 'POST',
        path: '/containers/start',
        status: 202,
        userId: 'ada',
        jobId: expect.any(String),
      }),
    ]);
  });

  test('a query is not logged, because it may hold a secret', async () => {
    const { headers } = await edge.call('ada', 'GET', '/jobs?token=eyJ');
    const id = headers.get('X-Request-Id') ?? '';
    const lines = edge.lines.filter((line) => line.includes(id)).join('');
    expect(lines).toContain('"path":"/jobs"');
    expect(lines).not.toMatch(/token|eyJ/);
  });
});

test('a misconfigured deployment answers without details, and logs the variable', async () => {
  const invalid = await startTestEdge({ AUTH_SECRET: 'too-short' });
  try {
    const { status, body } = await invalid.call(undefined, 'GET', '/health/live');
    expect([status, body.code]).toEqual([500, 'internal']);
    expect(JSON.stringify(body)).not.toContain('AUTH_SECRET');
    expect(invalid.lines.join('\n')).toContain('AUTH_SECRET: use at least 32 characters');
  } finally {
    await invalid.stop();
  }
});
