import { request } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { waitFor } from '../../quality/testing/wait.ts';
import { startGateway, type TestGateway, TOKEN } from './testing.ts';

let gateway: TestGateway;

beforeAll(async () => {
  gateway = await startGateway({ bodyBytes: 10_000, commands: 20, args: 50, requests: 8, commandMs: 300 });
});
afterAll(() => gateway.stop());

const many = (n: number) => JSON.stringify(Array.from({ length: n }, (_, i) => ['SET', `k${i}`, 'v']));

test('a body up to the limit is taken, a larger one answers 413', async () => {
  const frame = '["SET","k",""]'.length;
  expect(await gateway.command('SET', 'k', 'x'.repeat(10_000 - frame))).toMatchObject({ status: 200 });
  const tooLarge = { status: 413, body: { error: 'ERR the body is larger than 10000 bytes' } };
  expect(await gateway.command('SET', 'k', 'x'.repeat(10_001 - frame))).toEqual(tooLarge);
  for (const path of ['/set/k', '/pipeline', '/multi-exec']) {
    expect(await gateway.send(path, { method: 'POST', body: 'x'.repeat(10_001) })).toEqual(tooLarge);
  }
});

test('a body of undeclared length is read up to the limit, and refused beyond it', async () => {
  const { hostname, port } = new URL(gateway.url);
  const stream = (chunks: number) =>
    new Promise<number>((resolve, reject) => {
      const headers = { Authorization: `Bearer ${TOKEN}`, 'Transfer-Encoding': 'chunked' };
      const sent = request({ hostname, port, method: 'POST', path: '/set/chunked', headers }, (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      });
      sent.on('error', reject);
      for (let i = 0; i < chunks; i++) sent.write('x'.repeat(1000));
      sent.end();
    });
  expect(await stream(10)).toBe(200);
  expect(await gateway.redis.client.strlen('chunked')).toBe(10_000);
  expect(await stream(11)).toBe(413);
});

test('a pipeline or transaction of too many commands is refused completely', async () => {
  for (const path of ['/pipeline', '/multi-exec']) {
    await gateway.redis.client.flushall();
    expect(await gateway.send(path, { method: 'POST', body: many(20) })).toMatchObject({ status: 200 });
    expect(await gateway.redis.client.dbsize()).toBe(20);
    await gateway.redis.client.flushall();
    const error = 'ERR 21 commands; at most 20 are accepted in one request';
    expect(await gateway.send(path, { method: 'POST', body: many(21) })).toEqual({
      status: 400,
      body: { error },
    });
    expect(await gateway.redis.client.dbsize()).toBe(0);
  }
});

test('a command of too many arguments is refused', async () => {
  expect(await gateway.command('DEL', ...Array(50).fill('k'))).toMatchObject({ status: 200 });
  expect(await gateway.command('DEL', ...Array(51).fill('k'))).toEqual({
    status: 400,
    body: { error: 'ERR 51 arguments; at most 50 are accepted' },
  });
});

test('more requests at once than allowed are refused, and later ones are served', async () => {
  gateway.redis.freeze();
  try {
    const answers = await Promise.all(Array.from({ length: 20 }, () => gateway.command('GET', 'k')));
    expect(answers.filter(({ status }) => status === 503)).toHaveLength(12);
  } finally {
    gateway.redis.thaw();
  }
  await waitFor('service again', async () => (await gateway.command('GET', 'k')).status === 200);
});

test.each([
  ['no JSON', '{'],
  ['no array', '{"0":"GET"}'],
  ['nothing', ''],
  ['an empty array', '[]'],
  ['no name', '[1,"k"]'],
  ['a name that is no name', '["GET\\r\\nFLUSHALL","k"]'],
  ['a null argument', '["SET","k",null]'],
  ['a nested argument', '["SET","k",["v"]]'],
])('a body with %s answers 400 with an error', async (_what, body) => {
  expect(await gateway.send('/', { method: 'POST', body })).toEqual({
    status: 400,
    body: { error: expect.stringMatching(/^ERR /) },
  });
});

test.each(['{}', '[]', '"GET"', '1'])('a pipeline of %s answers 400 with an error', async (body) => {
  expect(await gateway.send('/pipeline', { method: 'POST', body })).toMatchObject({ status: 400 });
});
