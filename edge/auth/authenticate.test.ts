import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { signToken, startTestEdge, type TestEdge } from '../../infra/local/edge/testing.ts';

let edge: TestEdge;

beforeAll(async () => {
  edge = await startTestEdge({ RATE_LIMITS: '{"ip": ["3/min"]}' });
});
afterAll(() => edge?.stop());
beforeEach(() => edge.gateway.redis.client.flushall());

const from = (address: string) => ({ headers: { 'CF-Connecting-IP': address } });

describe('every route of a user', () => {
  test.each([
    ['GET', '/containers'],
    ['GET', '/containers/x'],
    ['POST', '/containers/start'],
    ['POST', '/containers/x/stop'],
    ['GET', '/jobs'],
    ['GET', '/jobs/x'],
    ['POST', '/realtime/token'],
    ['GET', '/realtime/tokens'],
    ['GET', '/limits'],
    ['GET', '/no-such-route'],
  ])('%s %s: 401 without a token, saying how to send one', async (method, path) => {
    const answer = await edge.call(undefined, method, path);
    expect(answer.status).toBe(401);
    expect(answer.headers.get('WWW-Authenticate')).toBe('Bearer realm="warmwind"');
    expect(answer.body).toMatchObject({
      statusCode: 401,
      code: 'unauthenticated',
      requestId: answer.headers.get('X-Request-Id'),
    });
  });

  test('401 for a relay ticket', async () => {
    const ticket = await signToken({ aud: 'warmwind-relay' });
    const answer = await edge.call(undefined, 'GET', '/jobs', {
      headers: { Authorization: `Bearer ${ticket}` },
    });
    expect(answer.status).toBe(401);
    expect(answer.headers.get('WWW-Authenticate')).toContain('invalid_token');
  });

  test('404 for the data of another user, also with role admin', async () => {
    const { containerId, jobId } = (await edge.call('ada', 'POST', '/containers/start')).body;
    const operator = await signToken({ sub: 'operator', role: 'admin' });
    const headers = { Authorization: `Bearer ${operator}` };
    for (const path of [`/containers/${containerId}`, `/jobs/${jobId}`, '/admin', '/admin/nothing']) {
      const answer = await edge.call(undefined, 'GET', path, { headers });
      expect([path, answer.status, answer.body.code]).toEqual([path, 404, 'not_found']);
    }
    const own = await edge.call(undefined, 'GET', '/containers', { headers });
    expect([own.status, own.body.items]).toEqual([200, []]);
  });

  test('429 for an address that keeps sending requests without a token; other addresses and users are not affected', async () => {
    const attempt = () => edge.call(undefined, 'GET', '/jobs', from('198.51.100.7'));
    for (const remaining of ['2', '1', '0']) {
      const answer = await attempt();
      expect([answer.status, answer.headers.get('X-RateLimit-Remaining')]).toEqual([401, remaining]);
    }
    const denied = await attempt();
    expect(denied.status).toBe(429);
    expect(Number(denied.headers.get('Retry-After'))).toBeGreaterThanOrEqual(1);
    expect((await edge.call(undefined, 'GET', '/jobs', from('198.51.100.8'))).status).toBe(401);
    expect((await edge.call('ada', 'GET', '/jobs', from('198.51.100.7'))).status).toBe(200);
  });

  test('a token never reaches the log', async () => {
    const token = await signToken({}, 'not-the-secret-0123456789abcdefghijkl');
    await edge.call(undefined, 'GET', `/jobs?token=${token}`, {
      headers: { Authorization: `Bearer ${token}` },
    });
    expect(edge.lines.join('\n')).not.toContain(token);
  });
});
