import { OPERATORS, webhookSecret } from '@warmwind/shared/contract/webhook-target';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { signToken, startTestEdge, type TestEdge, WEBHOOK_SECRET } from '../../infra/local/edge/testing.ts';

let edge: TestEdge;
beforeAll(async () => {
  edge = await startTestEdge({ RATE_LIMITS: '{"user": ["4/h"]}' });
});
afterAll(() => edge?.stop());

const secretOf = (user: string) => edge.call(user, 'GET', '/webhooks/secret');

describe('GET /webhooks/secret', () => {
  test('200: the same each time, another for each user, and the one that signs their webhooks', async () => {
    const { status, body } = await secretOf('ada');
    expect(status).toBe(200);
    expect(body).toEqual({ secret: await webhookSecret(WEBHOOK_SECRET, 'ada') });
    expect((await secretOf('ada')).body).toEqual(body);
    expect((await secretOf('bob')).body).not.toEqual(body);
  });

  test('401: without a token, and for the user that alerts are signed for', async () => {
    expect((await edge.call(undefined, 'GET', '/webhooks/secret')).status).toBe(401);
    const headers = { Authorization: `Bearer ${await signToken({ sub: OPERATORS })}` };
    expect((await edge.call(undefined, 'GET', '/webhooks/secret', { headers })).status).toBe(401);
  });

  test('429: it is limited as other reads', async () => {
    for (let n = 0; n < 4; n++) expect((await secretOf('eve')).status).toBe(200);
    expect((await secretOf('eve')).status).toBe(429);
  });
});
