import {
  MAX_SHARE_LINKS,
  RELAY_AUDIENCE,
  TICKET_MAX_SECONDS,
  TicketClaims,
} from '@warmwind/shared/contract/tickets';
import { keys, REVOKED_CHANNEL } from '@warmwind/shared/engine/keys';
import { decodeProtectedHeader, jwtVerify } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AUTH_SECRET, signToken, startTestEdge, type TestEdge } from '../../../infra/local/edge/testing.ts';
import { waitFor } from '../../../infra/quality/testing/wait.ts';

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

  test('200: neither a ticket nor a share link outlives the token of its request', async () => {
    const { containerId } = (await edge.call('kim', 'POST', '/containers/start')).body;
    const exp = Math.floor(Date.now() / 1000) + 90;
    const headers = { Authorization: `Bearer ${await signToken({ sub: 'kim', exp })}` };
    const asks = [{ ttlSeconds: 86_400 }, { containerId, mode: 'control', ttlSeconds: 86_400 }];
    for (const asked of asks) {
      const { status, body } = await edge.call(undefined, 'POST', '/realtime/token', {
        body: asked,
        headers,
      });
      expect([status, body.expiresAt]).toEqual([200, new Date(exp * 1000).toISOString()]);
      expect((await claimsOf(body.token)).exp).toBe(exp);
    }
    const shorter = await edge.call(undefined, 'POST', '/realtime/token', {
      body: { ttlSeconds: 10 },
      headers,
    });
    expect((await claimsOf(shorter.body.token)).exp).toBeLessThan(exp - 60);
  });

  test('200: a share link to one desktop', async () => {
    const { containerId } = (await edge.call('ada', 'POST', '/containers/start')).body;
    const { body } = await ticket({ containerId, mode: 'control', ttlSeconds: 60 });
    expect(await claimsOf(body.token)).toMatchObject({ sub: 'ada', containerId, mode: 'control' });
  });

  test("404: another user's desktop, or none", async () => {
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

  test('401: a ticket is not an API token', async () => {
    const { token } = (await ticket()).body;
    const answer = await edge.call(undefined, 'GET', '/jobs', {
      headers: { Authorization: `Bearer ${token}` },
    });
    expect(answer.status).toBe(401);
  });
});

describe('GET /realtime/tokens', () => {
  const listed = async (user: string) => {
    const { status, body } = await edge.call(user, 'GET', '/realtime/tokens');
    return { status, items: body.items as { id: string; expiresAt: string }[] };
  };

  test("200: the caller's share links, newest first, until they are revoked", async () => {
    const { containerId } = (await edge.call('eve', 'POST', '/containers/start')).body;
    const first = (await ticket({ containerId, mode: 'control', ttlSeconds: 60 }, 'eve')).body;
    const second = (await ticket({ containerId }, 'eve')).body;
    await ticket({ mode: 'control' }, 'eve');
    const { status, items } = await listed('eve');
    expect(status).toBe(200);
    const link = { containerId, createdAt: expect.any(String) };
    expect(items).toEqual([
      { ...link, id: second.id, mode: 'view', expiresAt: second.expiresAt },
      { ...link, id: first.id, mode: 'control', expiresAt: first.expiresAt },
    ]);
    expect((await listed('mallory')).items).toEqual([]);
    expect((await edge.call('mallory', 'DELETE', `/realtime/tokens/${first.id}`)).status).toBe(204);
    expect((await listed('eve')).items).toHaveLength(2);
    expect((await edge.call('eve', 'DELETE', `/realtime/tokens/${first.id}`)).status).toBe(204);
    expect((await listed('eve')).items.map(({ id }) => id)).toEqual([second.id]);
  });

  test('expired links are not listed, hide no other link, and make room', async () => {
    const { containerId } = (await edge.call('fay', 'POST', '/containers/start')).body;
    const { client } = edge.gateway.redis;
    const key = keys.shareLinks('fay');
    const link = (id: string, expires: number) => [
      id,
      `${expires} ${JSON.stringify({ id, containerId, mode: 'view', createdAt: new Date().toISOString(), expiresAt: new Date(expires).toISOString() })}`,
    ];
    await client.hset(key, ...link('past', Date.now() - 1), 'broken', 'x');
    const ids = Array.from({ length: MAX_SHARE_LINKS - 1 }, (_, n) => `link-${n}`);
    await client.hset(key, ...ids.flatMap((id) => link(id, Date.now() + 60_000)));
    expect((await listed('fay')).items).toHaveLength(MAX_SHARE_LINKS - 1);
    expect((await ticket({ containerId }, 'fay')).status).toBe(200);
    expect(await client.hlen(key)).toBe(MAX_SHARE_LINKS);
    const refused = await ticket({ containerId }, 'fay');
    expect([refused.status, refused.body.code, refused.body.limit]).toEqual([
      429,
      'quota_exceeded',
      MAX_SHARE_LINKS,
    ]);
    const { id } = (await listed('fay')).items[0] ?? {};
    await edge.call('fay', 'DELETE', `/realtime/tokens/${id}`);
    expect((await listed('fay')).items).toHaveLength(MAX_SHARE_LINKS - 1);
    const left = await client.pttl(key);
    expect(left).toBeGreaterThan(3_500_000);
    expect(left).toBeLessThanOrEqual(3_600_000);
  });
});

describe('DELETE /realtime/tokens', () => {
  const revokeAll = (user: string | undefined, query = '') =>
    edge.call(user, 'DELETE', `/realtime/tokens${query}`);

  test("204: all of the caller's tickets until now are recorded as revoked and published, and no later one", async () => {
    const { client } = edge.gateway.redis;
    const { containerId } = (await edge.call('gil', 'POST', '/containers/start')).body;
    const issued = await claimsOf((await ticket({ containerId }, 'gil')).body.token);
    await ticket(
      { containerId: (await edge.call('hal', 'POST', '/containers/start')).body.containerId },
      'hal',
    );
    const published: unknown[] = [];
    const subscriber = client.duplicate();
    subscriber.on('message', (_channel, text) => published.push(JSON.parse(text)));
    await subscriber.subscribe(REVOKED_CHANNEL);

    expect((await revokeAll('gil')).status).toBe(204);
    const before = Number(await client.get(keys.revokedBefore('gil')));
    await waitFor('the relays to be notified', () => published.length > 0);
    subscriber.disconnect();
    expect(published).toEqual([{ userId: 'gil', before }]);
    expect(issued.iat * 1000).toBeLessThanOrEqual(before);
    const left = await client.pttl(keys.revokedBefore('gil'));
    expect(left).toBeGreaterThan((TICKET_MAX_SECONDS - 60) * 1000);
    expect((await edge.call('gil', 'GET', '/realtime/tokens')).body.items).toEqual([]);
    expect((await edge.call('hal', 'GET', '/realtime/tokens')).body.items).toHaveLength(1);
    expect(await client.exists(keys.revokedBefore('hal'))).toBe(0);
    expect((await claimsOf((await ticket({}, 'gil')).body.token)).iat * 1000).toBeGreaterThan(before);
  });

  test('400 and 401: it accepts no parameters, and requires a token', async () => {
    expect((await revokeAll('gil', '?all=1')).status).toBe(400);
    expect((await revokeAll(undefined)).status).toBe(401);
  });

  test('503: while Redis is down no revocation is confirmed', async () => {
    await edge.gateway.redis.kill();
    expect((await revokeAll('gil')).status).toBe(503);
    await edge.gateway.redis.restart();
  });
});
