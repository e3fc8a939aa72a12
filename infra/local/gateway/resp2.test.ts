import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { startGateway, type TestGateway, TOKEN } from './testing.ts';

let gateway: TestGateway;

beforeAll(async () => {
  gateway = await startGateway();
});
afterAll(() => gateway.stop());
beforeEach(() => gateway.redis.client.flushall());

async function ask(path: string, body?: unknown, headers: Record<string, string> = {}) {
  const response = await fetch(gateway.url + path, {
    method: 'POST',
    headers: { Authorization: `Bearer ${TOKEN}`, 'Upstash-Response-Format': 'resp2', ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const bytes = Buffer.from(await response.arrayBuffer());
  return {
    status: response.status,
    type: response.headers.get('content-type'),
    text: bytes.toString('latin1'),
  };
}

test.each([
  [['SET', 'k', 'bar'], '+OK\r\n'],
  [['PING'], '+PONG\r\n'],
  [['PING', 'PONG'], '$4\r\nPONG\r\n'],
  [['TYPE', 'none'], '+none\r\n'],
  [['GET', 'none'], '$-1\r\n'],
  [['INCRBY', 'n', '9223372036854775807'], ':9223372036854775807\r\n'],
  [['ECHO', 'OK'], '$2\r\nOK\r\n'],
  [['MGET', 'none', 'none'], '*2\r\n$-1\r\n$-1\r\n'],
  [['EVAL', "return {1, {'two', false}}", 0], '*2\r\n:1\r\n*2\r\n$3\r\ntwo\r\n$-1\r\n'],
])('%j is answered as Redis would over TCP', async (command, text) => {
  expect(await ask('/', command)).toEqual({ status: 200, type: 'application/octet-stream', text });
});

test('bytes are returned unchanged', async () => {
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
  await gateway.redis.client.set('k', bytes);
  expect((await ask('/get/k')).text).toBe(`$256\r\n${bytes.toString('latin1')}\r\n`);
  expect((await ask('/', ['SET', 'k', 'OK'])).text).toBe('+OK\r\n');
  expect((await ask('/', ['SET', 'k', 'new', 'GET'])).text).toBe('$2\r\nOK\r\n');
});

test('a pipeline is one reply after another, errors in their places; a transaction stays JSON', async () => {
  const commands = [['SET', 'k', 'text'], ['INCR', 'k'], ['FLUSHALL'], ['GET', 'k']];
  const { type, text } = await ask('/pipeline', commands);
  expect(type).toBe('application/octet-stream');
  expect(text).toMatch(
    /^\+OK\r\n-ERR value is not an integer[^\r]*\r\n-ERR 'FLUSHALL'[^\r]*\r\n\$4\r\ntext\r\n$/,
  );
  const transaction = await ask('/multi-exec', [['GET', 'k']]);
  expect(transaction).toEqual({ status: 200, type: 'application/json', text: '[{"result":"text"}]' });
});

test('a failure is JSON with its status; other formats, and base64 together with it, are refused', async () => {
  expect(await ask('/', ['NONSENSE'])).toMatchObject({ status: 400, type: 'application/json' });
  for (const [name, value] of [
    ['Upstash-Response-Format', 'resp3'],
    ['Upstash-Encoding', 'base64'],
  ] as const) {
    const { status, text } = await ask('/', ['PING'], { [name]: value });
    expect([status, text]).toEqual([400, expect.stringContaining('resp2')]);
  }
  expect((await ask('/', ['PING'], { 'Upstash-Response-Format': 'json' })).text).toBe('{"result":"PONG"}');
});
