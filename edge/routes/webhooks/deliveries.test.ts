import { keys } from '@warmwind/shared/engine/keys';
import { beginDelivery, settleDelivery } from '@warmwind/shared/engine/scripts/webhook.lua';
import { WEBHOOK_DATA_VERSION, type WebhookData, webhookId } from '@warmwind/shared/engine/webhooks';
import { runScript } from '@warmwind/shared/runtime/node/script';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startTestEdge, type TestEdge } from '../../../infra/local/edge/testing.ts';
import { waiting } from '../../testing/stores.ts';

let edge: TestEdge;
let user = 'ada';
let users = 0;

beforeAll(async () => {
  edge = await startTestEdge(
    { RATE_LIMITS: '{"user": [], "webhooks": ["4/min"]}', LIMITER_TIMEOUT_MS: '1000' },
    { ledger: false },
  );
});
afterAll(() => edge?.stop());
beforeEach(async () => {
  await edge.gateway.redis.client.flushall();
  user = `ada-${users++}`;
});

const redis = () => edge.gateway.redis.client;
const call = (method: string, path: string, body?: unknown) =>
  edge.call(user, method, path, body === undefined ? {} : { body });

/** Records a webhook as its worker does. */
async function deliver(
  jobId: string,
  state: 'pending' | 'delivered' | 'failed',
  createdAt = 1_000_000,
  owner = user,
) {
  const data: WebhookData = {
    version: WEBHOOK_DATA_VERSION,
    about: 'end',
    userId: owner,
    jobId,
    run: 1,
    kind: 'inference',
    containerId: '',
    state: 'completed',
    at: 1000,
    attemptsMade: 1,
  };
  const id = webhookId(data);
  const of = { userId: owner, id };
  const args = { id, jobId, about: 'end', data: JSON.stringify(data), createdAt, resends: 0 };
  await runScript(redis(), beginDelivery, of, args);
  const outcome = { resends: 0, tried: '1', host: 'hooks.example.com', status: 200, state } as const;
  if (state !== 'pending') await runScript(redis(), settleDelivery, of, outcome);
  return id;
}
const page = async (query = '') => {
  const { status, body } = await call('GET', `/webhooks/deliveries${query}`);
  expect([query, status]).toEqual([query, 200]);
  return body as { items: { id: string; state: string }[]; nextCursor: string | null };
};
const ids = async (query?: string) => (await page(query)).items.map(({ id }) => id);

describe('GET /webhooks/deliveries', () => {
  test('lists the own ones, newest first, by job and state, page by page', async () => {
    const all = [];
    for (let i = 0; i < 5; i += 1)
      all.unshift(await deliver(`j${i}`, i < 2 ? 'failed' : 'delivered', Date.now() + i));
    await deliver('j9', 'delivered', Date.now(), 'bob');
    expect(await ids()).toEqual(all);
    expect(await ids('?state=failed')).toEqual(all.slice(3));
    expect(await ids('?jobId=j4')).toEqual(['j4.1.end']);
    expect(await ids('?jobId=j4&state=failed')).toEqual([]);
    expect(await ids('?jobId=j9')).toEqual([]);
    const seen: string[] = [];
    let cursor: string | null = '';
    do {
      const next: Awaited<ReturnType<typeof page>> = await page(
        `?limit=2${cursor ? `&cursor=${cursor}` : ''}`,
      );
      seen.push(...next.items.map(({ id }) => id));
      cursor = next.nextCursor;
    } while (cursor);
    expect(seen).toEqual(all);
  });

  test('shows how a delivery goes, and neither its data nor its address', async () => {
    const id = await deliver('j1', 'delivered');
    const { status, body } = await call('GET', `/webhooks/deliveries/${id}`);
    expect(status).toBe(200);
    expect(body).toEqual({
      id,
      jobId: 'j1',
      about: 'end',
      state: 'delivered',
      host: 'hooks.example.com',
      attempts: 1,
      resends: 0,
      status: 200,
      createdAt: '1970-01-01T00:16:40.000Z',
      attemptedAt: expect.any(String),
      endedAt: expect.any(String),
    });
  });

  test.each(['state=lost', 'jobId=', 'cursor=!', 'run=1'])('400: ?%s', async (query) => {
    expect((await call('GET', `/webhooks/deliveries?${query}`)).status).toBe(400);
  });
});

describe('POST /webhooks/deliveries/:id/resend', () => {
  test('queues the same event once, whatever number of requests ask for it at once', async () => {
    const id = await deliver('j1', 'failed');
    const answers = await Promise.all([1, 2, 3].map(() => call('POST', `/webhooks/deliveries/${id}/resend`)));
    // A request that comes after the others finds it pending.
    expect(answers.map(({ status }) => status).every((status) => status === 202 || status === 409)).toBe(
      true,
    );
    expect(answers.map(({ status }) => status)).toContain(202);
    expect(await waiting(edge, 'webhooks')).toEqual([`${id}.1`]);
    const { body } = await call('GET', `/webhooks/deliveries/${id}`);
    expect(body).toMatchObject({ state: 'pending', resends: 1, attempts: 1 });
    expect(body).not.toHaveProperty('endedAt');
  });

  test('409 for a pending one', async () => {
    const id = await deliver('j1', 'pending');
    const { status, body } = await call('POST', `/webhooks/deliveries/${id}/resend`);
    expect([status, body.code]).toEqual([409, 'conflict']);
    expect(await waiting(edge, 'webhooks')).toEqual([]);
  });
});

describe('DELETE /webhooks/deliveries/:id', () => {
  test('cancels a pending one, however often', async () => {
    const id = await deliver('j1', 'pending');
    for (let i = 0; i < 2; i += 1) {
      const { status, body } = await call('DELETE', `/webhooks/deliveries/${id}`);
      expect([status, body]).toMatchObject([200, { id, state: 'cancelled', endedAt: expect.any(String) }]);
    }
    expect((await call('POST', `/webhooks/deliveries/${id}/resend`)).status).toBe(202);
  });

  test('409 for one that has ended', async () => {
    const id = await deliver('j1', 'delivered');
    const { status, body } = await call('DELETE', `/webhooks/deliveries/${id}`);
    expect([status, body.message]).toEqual([409, expect.stringContaining('delivered')]);
  });
});

describe('POST /webhooks/test', () => {
  test('queues a test, whose record has its address and whose queue entry has not', async () => {
    const url = 'https://hooks.example.com:8443/secret?key=1';
    const { status, body } = await call('POST', '/webhooks/test', { url });
    expect(status).toBe(202);
    const id = String(body.id);
    expect((await page()).items).toEqual([
      {
        id,
        about: 'test',
        state: 'pending',
        host: 'hooks.example.com:8443',
        attempts: 0,
        resends: 0,
        createdAt: expect.any(String),
      },
    ]);
    expect(await waiting(edge, 'webhooks')).toEqual([id]);
    expect(await redis().hget(`${keys.bullmqPrefix('webhooks')}:webhooks:${id}`, 'data')).not.toContain(
      'hooks.example',
    );
    expect(await redis().hget(keys.webhookDelivery(user, id), 'url')).toBe(url);
  });

  test.each([
    [{}],
    [{ url: 'ftp://example.com' }],
    [{ url: 'http://127.0.0.1:1/' }],
    [{ url: 'http://localhost/' }],
    [{ url: 'http://169.254.169.254/latest' }],
    [{ url: 'https://user:password@example.com' }],
    [{ url: 'https://example.com', to: 1 }],
  ])('400: %j', async (body) => {
    expect((await call('POST', '/webhooks/test', body)).status).toBe(400);
    expect(await redis().keys('*webhook*')).not.toContain(keys.webhookDeliveries(user));
  });

  test('429 by a limit of its own, which sending again shares', async () => {
    for (let i = 0; i < 3; i += 1) {
      expect((await call('POST', '/webhooks/test', { url: 'https://example.com' })).status).toBe(202);
    }
    const id = await deliver('j1', 'failed');
    expect((await call('POST', `/webhooks/deliveries/${id}/resend`)).status).toBe(202);
    expect((await call('POST', '/webhooks/test', { url: 'https://example.com' })).status).toBe(429);
    expect((await page()).items).toHaveLength(4);
  });
});

test('another user’s webhook, and one that no user can have, are 404', async () => {
  const own = await deliver('j1', 'pending', 1_000_000, 'bob');
  const alert = 'j1.1.alert';
  await redis().hset(keys.webhookDelivery(user, alert), { id: alert, state: 'failed', data: '{}' });
  for (const id of [own, 'nothing.1.end', alert, 'x', '%7Bbob%7D', `${'x'.repeat(65)}.1.end`]) {
    for (const [method, path] of [
      ['GET', ''],
      ['DELETE', ''],
      ['POST', '/resend'],
    ] as const) {
      await redis().del(keys.limit(user, 'webhooks'));
      const { status, body } = await call(method, `/webhooks/deliveries/${id}${path}`);
      expect([method, id, status, body.code]).toEqual([method, id, 404, 'not_found']);
    }
  }
});

test('503 while Redis does not answer', async () => {
  edge.gateway.redis.freeze();
  try {
    expect((await call('GET', '/webhooks/deliveries')).status).toBe(503);
  } finally {
    edge.gateway.redis.thaw();
  }
}, 30_000);
