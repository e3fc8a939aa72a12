import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestEdge, type TestEdge } from '../../infra/local/edge/testing.ts';
import { asAdmin } from '../testing/admin.ts';

type Operation = { security?: object[]; parameters?: { name: string; in: string }[] };

let edge: TestEdge;
/** Every route is open to an administrator. */
const admin = asAdmin(() => edge);
let routes: { method: string; path: string; operation: Operation }[];

beforeAll(async () => {
  edge = await startTestEdge({
    RATE_LIMITS: '{"user": ["1000/s"], "ip": [], "containers.start": [], "webhooks": [], "admin": []}',
  });
  const { paths } = (await edge.call(undefined, 'GET', '/openapi.json')).body as {
    paths: Record<string, Record<string, Operation>>;
  };
  routes = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      method: method.toUpperCase(),
      path: path.replaceAll(/\{\w+\}/g, 'x'),
      operation,
    })),
  );
});
afterAll(() => edge?.stop());

describe('a query parameter that a route does not have', () => {
  test('400: is named together with the known ones, on every route of this API', async () => {
    const own = routes.filter(({ path, operation }) => operation.security && !path.startsWith('/v1/'));
    expect(own.length).toBeGreaterThanOrEqual(18);
    for (const { method, path, operation } of own) {
      const answer = await admin(method, `${path}?stat=failed&_=1`);
      const names = (operation.parameters ?? []).filter(({ in: where }) => where === 'query');
      const known = names.length > 0 ? `use ${names.map(({ name }) => name).join(', ')}` : 'has none';
      expect([method, path, answer.status, answer.body.issues]).toEqual([
        method,
        path,
        400,
        ['stat', '_'].map((name) => ({ path: name, message: expect.stringContaining(known) })),
      ]);
    }
  });

  test("is ignored where other clients add parameters: probes, pages, OpenAI's clients", async () => {
    for (const path of [
      '/health/live?_=1',
      '/openapi.json?_=1',
      '/?utm_source=x',
      '/docs?_=1',
      '/v1/models?_=1',
    ]) {
      expect([path, (await edge.call('ada', 'GET', path)).status]).toEqual([path, 200]);
    }
  });
});

describe('405', () => {
  test('with Allow, for every path that has a route for another method', async () => {
    for (const path of new Set(routes.map((route) => route.path))) {
      const has = routes.filter((route) => route.path === path).map(({ method }) => method);
      const answer = await admin('PATCH', path);
      const allowed = answer.headers.get('Allow') ?? '';
      expect([path, answer.status]).toEqual([path, 405]);
      expect(allowed.split(', ')).toEqual(expect.arrayContaining(has));
      const message = path.startsWith('/v1/')
        ? { error: { code: 'method_not_allowed', message: expect.stringContaining(allowed) } }
        : { code: 'method_not_allowed', statusCode: 405, message: expect.stringContaining(allowed) };
      expect(answer.body).toMatchObject(message);
    }
  });

  test('lists all methods of a path, and HEAD with GET', async () => {
    expect((await edge.call('ada', 'PUT', '/jobs/x')).headers.get('Allow')).toBe('GET, HEAD, DELETE');
    expect((await edge.call('ada', 'DELETE', '/containers/start')).headers.get('Allow')).toBe(
      'GET, HEAD, POST',
    );
  });

  test('without a token where none is needed, and elsewhere only with one', async () => {
    for (const path of ['/', '/docs', '/openapi.json', '/robots.txt', '/health/live']) {
      const { status, headers } = await edge.call(undefined, 'POST', path);
      expect([path, status, headers.get('Allow')]).toEqual([path, 405, 'GET, HEAD']);
    }
    expect((await edge.call(undefined, 'POST', '/jobs')).status).toBe(401);
  });

  test('has the headers of every limited answer, for pages of other origins too', async () => {
    const { status, headers } = await edge.call('ada', 'PUT', '/jobs/x', {
      headers: { Origin: 'https://app.test' },
    });
    expect(status).toBe(405);
    for (const name of ['X-Request-Id', 'X-RateLimit-Remaining', 'Vary', 'X-Content-Type-Options']) {
      expect([name, headers.get(name)]).toEqual([name, expect.any(String)]);
    }
    expect(headers.get('Content-Type')).toBe('application/json');
  });

  test('is 404 for a path that has no route at all', async () => {
    const answer = await edge.call('ada', 'POST', '/nothing');
    expect([answer.status, answer.headers.get('Allow')]).toEqual([404, null]);
  });
});

describe('an issue', () => {
  test.each([
    ['/inference', { prompt: 'p' }, { model: 'is missing' }],
    ['/inference', { model: 1, prompt: null }, { model: 'must be a string', prompt: 'must be a string' }],
    ['/inference', { model: 'm', prompt: '' }, { prompt: 'must have at least 1 character' }],
    ['/inference', { model: 'm', messages: [] }, { messages: 'must have at least 1 item' }],
    ['/inference', { model: 'm', messages: {} }, { messages: 'must be a list' }],
    [
      '/inference',
      { model: 'm', messages: [{ role: 'boss', content: 'x' }] },
      { 'messages.0.role': 'must be one of: system, user, assistant' },
    ],
    ['/inference', { model: 'm', prompt: 'p', topP: 0 }, { topP: 'must be more than 0' }],
    ['/containers/start', { width: 1.5 }, { width: 'must be a whole number' }],
    ['/containers/start', { cpus: 17 }, { cpus: 'must be at most 16' }],
    ['/containers/start', { env: [] }, { env: 'must be an object' }],
    [
      '/containers/start',
      { env: { 'a b': '' } },
      { 'env.a b': expect.stringContaining('use a name of A-Z') },
    ],
    ['/containers/start', { privileged: true }, { privileged: 'unknown field' }],
    ['/containers/start', [], { '': 'must be an object' }],
    ['/realtime/token', { mode: 'own' }, { mode: 'must be one of: view, control' }],
  ])('of %s %j names the expected value in plain words', async (path, body, issues) => {
    const answer = await edge.call('ada', 'POST', path, { body });
    const message = answer.body.issues as { path: string; message: string }[];
    expect([answer.status, Object.fromEntries(message.map((issue) => [issue.path, issue.message]))]).toEqual([
      400,
      issues,
    ]);
  });

  test("of OpenAI's form too", async () => {
    const answer = await edge.call('ada', 'POST', '/v1/chat/completions', { body: { model: 'm' } });
    expect(answer.body).toMatchObject({ error: { message: 'messages: is missing', param: 'messages' } });
  });
});

describe('a file that browsers and crawlers request of every site', () => {
  test('is served without a token', async () => {
    const icon = await edge.call(undefined, 'GET', '/favicon.ico');
    expect([icon.status, icon.headers.get('Content-Type')]).toEqual([200, 'image/svg+xml']);
    expect(icon.body.text).toContain('<svg');
    const robots = await edge.call(undefined, 'GET', '/robots.txt');
    expect([robots.status, robots.body.text]).toEqual([200, 'User-agent: *\nDisallow: /\n']);
  });
});
