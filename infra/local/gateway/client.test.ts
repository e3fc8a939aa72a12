import { Redis as Upstash } from '@upstash/redis';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startGateway, type TestGateway, TOKEN } from './testing.ts';

let gateway: TestGateway;
let client: Upstash;

beforeAll(async () => {
  gateway = await startGateway();
  client = gateway.client;
});
afterAll(() => gateway.stop());
beforeEach(() => gateway.redis.client.flushall());

describe('the stock @upstash/redis client', () => {
  test.each([
    ['a string', 'hello'],
    ['the string OK', 'OK'],
    ['an empty string', ''],
    ['text of every plane', 'żółć 漢字 🖥️ \u0000 \r\n'],
    ['a number', 42.5],
    ['an object', { a: [1, { b: 'ü' }], c: null }],
    ['a large value', 'x'.repeat(200_000)],
  ])('reads back %s as it was set', async (_name, value) => {
    expect(await client.set('key', value)).toBe('OK');
    expect(await client.get('key')).toEqual(value);
    expect(await client.mget('key', 'none')).toEqual([value, null]);
  });

  test('gets null for a missing key, and the replies that Redis sends as a status', async () => {
    expect(await client.get('none')).toBeNull();
    expect(await client.set('key', 'new', { nx: true, px: 60_000 })).toBe('OK');
    expect(await client.set('key', 'again', { nx: true })).toBeNull();
    expect(await client.type('key')).toBe('string');
    expect(await client.ping()).toBe('PONG');
  });

  test('has the shapes of hashes, sorted sets, lists, scans and streams', async () => {
    await client.hset('hash', { a: 1, b: 'two', __proto: { c: 3 } });
    expect(await client.hgetall('hash')).toEqual({ a: 1, b: 'two', __proto: { c: 3 } });
    expect(await client.hgetall('none')).toBeNull();
    await client.zadd('sorted', { score: 1.5, member: 'a' }, { score: 2, member: 'b' });
    expect(await client.zrange('sorted', 0, -1, { withScores: true })).toEqual(['a', 1.5, 'b', 2]);
    expect(await client.zscore('sorted', 'a')).toBe(1.5);
    await client.rpush<unknown>('list', 'x', { y: 1 });
    expect(await client.lrange('list', 0, -1)).toEqual(['x', { y: 1 }]);
    expect(await client.scan(0, { match: 'hash' })).toEqual(['0', ['hash']]);
    const id = await client.xadd('stream', '*', { field: 'value' });
    expect(await client.xrange('stream', '-', '+')).toEqual({ [id]: { field: 'value' } });
  });

  test('pipelines: answers in order, an error only in its own place', async () => {
    const results = await client
      .pipeline()
      .set('key', 'text')
      .incr('key')
      .get('key')
      .exec<[string, number, string]>({ keepErrors: true });
    expect(results.map(({ result }) => result)).toEqual(['OK', undefined, 'text']);
    expect(results[1]?.error).toMatch(/^ERR value is not an integer/);
  });

  test('auto-pipelines', async () => {
    const auto = new Upstash({ url: gateway.url, token: TOKEN, enableAutoPipelining: true });
    expect(await Promise.all([auto.set('a', 1), auto.incr('a'), auto.get('a')])).toEqual(['OK', 2, 2]);
  });

  test('throws the error that Redis reported', async () => {
    await client.set('key', 'text');
    await expect(client.incr('key')).rejects.toThrow('ERR value is not an integer');
    await expect(client.lpush('key', 1)).rejects.toThrow('WRONGTYPE');
  });

  test('reads nested arrays and nulls from a script', async () => {
    const script = `return {1, {'two', {ARGV[1], false}}, redis.status_reply('OK')}`;
    expect(await client.eval(script, [], ['drei'])).toEqual([1, ['two', ['drei', null]], 'OK']);
  });

  test('gets a new sync token with each answer', async () => {
    const own = new Upstash({ url: gateway.url, token: TOKEN, readYourWrites: true });
    const seen = async (ask: () => Promise<unknown>) => {
      await ask();
      return (own as unknown as { client: { upstashSyncToken: string } }).client.upstashSyncToken;
    };
    const asks = [
      () => own.set('key', 'value'),
      () => own.get('key'),
      () => own.pipeline().set('key', 1).incr('key').exec(),
      () => own.eval("return redis.call('SET', KEYS[1], ARGV[1])", ['key'], ['2']),
    ];
    const tokens = [];
    for (const ask of asks) tokens.push(await seen(ask));
    expect(tokens).not.toContain('');
    expect(new Set(tokens).size).toBe(asks.length);
  });
});

describe('bytes that are not UTF-8', () => {
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
  const raw = { Authorization: `Bearer ${TOKEN}`, 'Upstash-Encoding': 'base64' };

  test('survive as a body that is appended to a command, and are returned as base64', async () => {
    expect(await gateway.send('/set/key?PX=60000', { method: 'POST', body: bytes })).toEqual({
      status: 200,
      body: { result: 'OK' },
    });
    expect(await gateway.redis.client.getBuffer('key')).toEqual(bytes);
    expect(await gateway.redis.client.pttl('key')).toBeGreaterThan(0);
    const { body } = await gateway.send('/get/key', { headers: raw });
    expect(body).toEqual({ result: bytes.toString('base64') });
  });

  test('leave a status plain in base64, as the client expects it', async () => {
    const set = JSON.stringify([
      ['SET', 'key', 'OK'],
      ['MGET', 'key'],
    ]);
    const answer = await gateway.send('/pipeline', { method: 'POST', headers: raw, body: set });
    expect(answer.body).toEqual([{ result: 'OK' }, { result: ['T0s='] }]);
  });

  test('survive as hash fields and in what a script returns, at any depth', async () => {
    await gateway.redis.client.hset('hash', bytes, bytes);
    const encoded = bytes.toString('base64');
    expect(await gateway.send('/hgetall/hash', { headers: raw })).toMatchObject({
      body: { result: [encoded, encoded] },
    });
    const script = `local b = redis.call('HVALS', KEYS[1])[1] return {b, {b, 'OK'}, cmsgpack.pack({1, 'é'})}`;
    const body = JSON.stringify(['EVAL', script, 1, 'hash']);
    const packed = Buffer.from([0x92, 0x01, 0xa2, 0xc3, 0xa9]).toString('base64');
    expect(await gateway.send('/', { method: 'POST', headers: raw, body })).toEqual({
      status: 200,
      body: { result: [encoded, [encoded, 'T0s='], packed] },
    });
  });
});

describe('commands in the path', () => {
  test('take percent-encoded arguments, and options from the query', async () => {
    expect(await gateway.send('/set/a%2Fb%20c/v%C3%A9?EX=100&NX')).toMatchObject({ body: { result: 'OK' } });
    expect(await gateway.send('/GET/a%2Fb%20c')).toEqual({ status: 200, body: { result: 'vé' } });
    expect(await gateway.redis.client.ttl('a/b c')).toBe(100);
    expect(await gateway.send('/get/a%2Fb%20c', { method: 'HEAD' })).toEqual({
      status: 200,
      body: undefined,
    });
  });

  test.each([
    ['/get/%ff', 400],
    ['/', 400],
    ['/nonsense/x', 400],
  ])('%s answers %i with an error', async (path, status) => {
    const answer = await gateway.send(path);
    expect(answer).toEqual({ status, body: { error: expect.stringMatching(/^ERR /) } });
  });

  test('a method that Upstash does not know answers 405', async () => {
    expect(await gateway.send('/get/key', { method: 'DELETE' })).toMatchObject({ status: 405 });
  });
});
