import { RELAY_AUDIENCE, TicketClaims } from '@warmwind/shared/realtime';
import { decodeProtectedHeader, jwtVerify } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AUTH_SECRET, startTestEdge, type TestEdge } from '../../infra/edge/testing.ts';

let edge: TestEdge;

beforeAll(async () => {
  edge = await startTestEdge({ RATE_LIMITS: '{"user": ["1000/s"]}' });
});
afterAll(() => edge?.stop());

const ticket = (body?: unknown, user = 'ada') => edge.call(user, 'POST', '/realtime/token', { body });
const claimsOf = async (token: unknown) => {
  const key = new TextEncoder().encode(AUTH_SECRET);
  const { payload } = await jwtVerify(String(token), key, { audience: RELAY_AUDIENCE });
  return TicketClaims.parse(payload);
};

describe('POST /realtime/token', () => {
  test('200: a ticket of its own for the relay, an hour long', async () => {
    const { status, body } = await ticket();
    expect(status).toBe(200);
    const claims = await claimsOf(body.token);
    expect(claims).toMatchObject({ sub: 'ada', jti: body.id, mode: 'view' });
    expect(claims.containerId).toBeUndefined();
    expect(body).toMatchObject({
      url: 'http://relay.test',
      expiresAt: new Date(claims.exp * 1000).toISOString(),
    });
    expect(decodeProtectedHeader(String(body.token)).alg).toBe('HS256');
    expect(claims.exp - Date.now() / 1000).toBeGreaterThan(3500);
  });

  test('200: a share link to one desktop', async () => {
    const { containerId } = (await edge.call('ada', 'POST', '/containers/start')).body;
    const { body } = await ticket({ containerId, mode: 'control', ttlSeconds: 60 });
    expect(await claimsOf(body.token)).toMatchObject({ sub: 'ada', containerId, mode: 'control' });
  });

  test("404: a desktop that is another's or none", async () => {
    const { containerId } = (await edge.call('ada', 'POST', '/containers/start')).body;
    expect((await ticket({ containerId }, 'bob')).status).toBe(404);
    expect((await ticket({ containerId: 'none' })).status).toBe(404);
    expect((await ticket({ containerId: 'a}b' })).status).toBe(404);
  });

  test.each([{ mode: 'admin' }, { ttlSeconds: 5 }, { ttlSeconds: 1e9 }, { user: 'bob' }])(
    '400: %j',
    async (body) => {
      expect((await ticket(body)).status).toBe(400);
    },
  );

  test('401: what it gives is no API token', async () => {
    const { token } = (await ticket()).body;
    const answer = await edge.call(undefined, 'GET', '/jobs', {
      headers: { Authorization: `Bearer ${token}` },
    });
    expect(answer.status).toBe(401);
  });
});
