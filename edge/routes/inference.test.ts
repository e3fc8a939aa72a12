import { MAX_GENERATION_MS, MAX_READING_MS } from '@warmwind/shared/contract/inference';
import { keys } from '@warmwind/shared/engine/keys';
import { jobRow } from '@warmwind/shared/engine/ledger/rows';
import { jobInputs, jobs } from '@warmwind/shared/engine/ledger/schema';
import { eq } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/postgres-js';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startTestEdge, type TestEdge } from '../../infra/local/edge/testing.ts';
import { emptyStores, forget, waiting } from '../testing/stores.ts';

/** The beginning of a PNG, as base64. */
const pngHead = (width: number, height: number): string => {
  const head = Buffer.from('89504e470d0a1a0a0000000d494844520000000000000000', 'hex');
  head.writeUInt32BE(width, 16);
  head.writeUInt32BE(height, 20);
  return head.toString('base64');
};

let edge: TestEdge;

beforeAll(async () => {
  edge = await startTestEdge({
    RATE_LIMITS: '{"user": ["1000/s"], "containers.start": []}',
    QUOTAS: '{"jobs": 3}',
    PREMIUM_MODELS: 'desk-large',
    WEBHOOK_ALLOW: '10.0.0.0/8',
  });
});
afterAll(() => edge?.stop());
beforeEach(() => emptyStores(edge));

const infer = (body: object, headers = {}) => edge.call('ada', 'POST', '/inference', { body, headers });
const ask = (over = {}) => ({
  model: 'desk-tiny',
  prompt: 'Say "hi" \\ ü \u2028 \u0000 \ud83d\ude00',
  ...over,
});
const redis = () => edge.gateway.redis.client;
const record = (id: unknown) => redis().hgetall(keys.job('ada', String(id)));

describe('POST /inference', () => {
  test('202: the job and its input are in the queue, and in the ledger as in Redis', async () => {
    const request = ask({ maxTokens: 5, temperature: 0, seed: 1 });
    const about = { webhookUrl: 'https://hooks.test/ü', timeoutMs: 60_000 };
    const { status, body } = await infer({ ...request, ...about });
    expect([status, Object.keys(body)]).toEqual([202, ['jobId']]);
    const jobId = String(body.jobId);
    expect(await waiting(edge, 'ai-inference')).toEqual([jobId]);
    expect(await record(jobId)).toMatchObject({
      kind: 'inference',
      containerId: '',
      webhookUrl: 'https://hooks.test/%C3%BC',
      timeoutMs: '60000',
      priorityClass: '5',
    });
    const db = drizzle(edge.postgres.sql);
    expect(await db.select().from(jobs)).toEqual([jobRow('ada', await record(jobId))]);
    const input = (await redis().get(keys.input('ada', jobId))) ?? '';
    expect(JSON.parse(input)).toEqual(request);
    expect(await db.select().from(jobInputs)).toEqual([{ jobId, userId: 'ada', input }]);
    const { items } = (await edge.call('ada', 'GET', '/jobs?kind=inference')).body;
    expect(items).toMatchObject([{ id: jobId, kind: 'inference', state: 'queued' }]);
  });

  test('202: messages; and an image of one megabyte for the model that reads', async () => {
    const messages = [{ role: 'user', content: 'hi' }];
    expect((await infer({ model: 'desk-tiny', messages })).status).toBe(202);
    const image = Buffer.alloc(2 ** 20, 7).toString('base64');
    const { status, body } = await infer({ model: 'ocr-eng', image });
    expect(status).toBe(202);
    const input = await redis().get(keys.input('ada', String(body.jobId)));
    expect(JSON.parse(input ?? '')).toEqual({ model: 'ocr-eng', image });
  });

  test('202, 404 and 409: the screen of a running desktop of the caller only', async () => {
    const { containerId } = (await edge.call('ada', 'POST', '/containers/start', { body: {} })).body;
    const read = (user: string) =>
      edge.call(user, 'POST', '/inference', { body: { model: 'ocr-eng', containerId } });
    const become = (state: string) =>
      redis().hset(keys.container('ada', String(containerId)), 'state', state);
    for (const [state, next] of [
      ['requested', 'ask again when it runs'],
      ['starting', 'ask again when it runs'],
      ['stopping', 'start another'],
      ['stopped', 'start another'],
      ['failed', 'start another'],
    ] as const) {
      await become(state);
      const { status, body } = await read('ada');
      expect([status, body.message]).toEqual([409, expect.stringMatching(`${state}.*${next}`)]);
    }
    await become('running');
    const { status, body } = await read('ada');
    expect(status).toBe(202);
    expect((await edge.call('ada', 'GET', `/jobs/${body.jobId}`)).body).toMatchObject({ containerId });
    const db = drizzle(edge.postgres.sql);
    const rows = await db.select().from(jobs).where(eq(jobs.kind, 'inference'));
    expect(rows).toEqual([jobRow('ada', await record(body.jobId))]);
    const input = await redis().get(keys.input('ada', String(body.jobId)));
    expect(JSON.parse(input ?? '')).toEqual({ model: 'ocr-eng', containerId });
    expect((await read('ben')).status).toBe(404);
    expect(await waiting(edge, 'ai-readings')).toEqual([body.jobId]);
    expect(await waiting(edge, 'ai-inference')).toEqual([]);
  });

  test('202: two REST trips', async () => {
    await infer(ask());
    edge.trips();
    await infer(ask());
    expect(edge.trips()).toBe(2);
  });

  test("202: premium models go before their owner's other jobs, and the first job of each user before a second", async () => {
    const first = (await infer(ask())).body.jobId;
    await forget(edge);
    const premium = (await infer(ask({ model: 'desk-large' }))).body.jobId;
    const second = (await infer(ask())).body.jobId;
    const bobs = (await edge.call('bob', 'POST', '/inference', { body: ask() })).body.jobId;
    expect(await waiting(edge, 'ai-inference')).toEqual([premium, bobs, second]);
    expect(first).toBeTruthy();
  });

  test('202: the same key and body is the same job, also after Redis has lost its data', async () => {
    const first = await infer(ask(), { 'Idempotency-Key': 'k' });
    expect((await infer(ask(), { 'Idempotency-Key': 'k' })).body).toEqual(first.body);
    await forget(edge);
    const again = await infer(ask(), { 'Idempotency-Key': 'k' });
    expect([again.status, again.body]).toEqual([202, first.body]);
    expect(await waiting(edge, 'ai-inference')).toEqual([first.body.jobId]);
    await forget(edge);
    const other = await infer(ask({ seed: 2 }), { 'Idempotency-Key': 'k' });
    expect(other.status).toBe(409);
    expect(await redis().keys('ww:{ada}:input:*')).toEqual([]);
  });

  test.each([
    [{ model: 'desk-tiny' }, 'prompt'],
    [{ prompt: 'p' }, 'model'],
    [{ model: 'desk-tiny', prompt: 'p', messages: [{ role: 'user', content: '' }] }, 'prompt'],
    [{ model: 'desk-tiny', image: 'AAAA' }, 'prompt'],
    [{ model: 'ocr-eng', prompt: 'p' }, 'image'],
    [{ model: 'ocr-eng', image: 'no base64' }, 'image'],
    [ask({ containerId: 'c' }), 'prompt'],
    [{ model: 'ocr-eng', image: 'AAAA', containerId: 'c' }, 'image'],
    [{ model: 'ocr-eng', image: 'AAAA', maxTokens: 5 }, 'maxTokens'],
    [{ model: 'ocr-eng', image: 'AAAA', temperature: 0 }, 'temperature'],
    [{ model: 'ocr-eng', image: pngHead(1, 1_000_000) }, 'image'],
    [{ model: 'ocr-eng', image: pngHead(4000, 4001) }, 'image'],
    [ask({ timeoutMs: 1 }), 'timeoutMs'],
    [ask({ timeoutMs: MAX_GENERATION_MS + 1 }), 'timeoutMs'],
    [{ model: 'ocr-eng', image: 'AAAA', timeoutMs: MAX_READING_MS + 1 }, 'timeoutMs'],
    [ask({ webhookUrl: 'http://127.0.0.1/' }), 'webhookUrl'],
    [ask({ webhookUrl: 'ftp://hooks.test/' }), 'webhookUrl'],
    [ask({ webhookUrl: 'http://u:p@hooks.test/' }), 'webhookUrl'],
    [ask({ webhookUrl: 'nonsense' }), 'webhookUrl'],
  ])('400: %j', async (body, path) => {
    const answer = await infer(body);
    expect([answer.status, answer.body.issues]).toEqual([
      400,
      expect.arrayContaining([expect.objectContaining({ path })]),
    ]);
    expect(await redis().keys('ww:{ada}:job*')).toEqual([]);
  });

  test('400: a time-out above the ceiling of its kind names the ceiling', async () => {
    const { body } = await infer({ model: 'ocr-eng', image: 'AAAA', timeoutMs: 3_600_000 });
    expect(JSON.stringify(body.issues)).toContain(`at most ${MAX_READING_MS} ms for ocr-eng`);
    expect((await infer({ model: 'ocr-eng', image: 'AAAA', timeoutMs: MAX_READING_MS })).status).toBe(202);
  });

  test('413: more than 1.5 MB, and more than 256 KB where no image is accepted', async () => {
    expect((await infer(ask({ prompt: 'x'.repeat(1.6 * 2 ** 20) }))).status).toBe(413);
    expect(
      (await edge.call('ada', 'POST', '/containers/start', { body: { name: 'x'.repeat(300_000) } })).status,
    ).toBe(413);
  });

  test('429: a full quota of jobs', async () => {
    for (let i = 0; i < 3; i += 1) await infer(ask());
    const answer = await infer(ask());
    expect([answer.status, answer.body]).toMatchObject([
      429,
      { code: 'quota_exceeded', limit: 3, used: 3, message: expect.stringContaining('jobs') },
    ]);
    expect(await waiting(edge, 'ai-inference')).toHaveLength(3);
  });
});

describe('a webhookUrl', () => {
  test('of a start is in its record, and refused where it is private', async () => {
    const start = (webhookUrl: string) =>
      edge.call('ada', 'POST', '/containers/start', { body: { webhookUrl } });
    const { jobId } = (await start('http://10.1.2.3/hook')).body;
    expect(await record(jobId)).toMatchObject({ webhookUrl: 'http://10.1.2.3/hook' });
    expect((await start('http://192.168.0.1/')).body.issues).toMatchObject([{ path: 'webhookUrl' }]);
  });
});

describe('GET /models', () => {
  test('200: the models that are served now, by how many hosts', async () => {
    const later = Date.now() + 60_000;
    await redis().zadd(
      keys.models(),
      later,
      'h1 desk-tiny',
      later,
      'h2 desk-tiny',
      later,
      'h1 ocr-eng',
      1,
      'h3 old',
    );
    const { status, body } = await edge.call('ada', 'GET', '/models');
    expect(status).toBe(200);
    expect(body).toEqual({
      items: [
        { id: 'desk-tiny', hosts: 2 },
        { id: 'ocr-eng', hosts: 1 },
      ],
    });
  });
});
