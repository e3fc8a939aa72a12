import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { startGateway, type TestGateway, TOKEN } from './testing.ts';

let gateway: TestGateway;

beforeAll(async () => {
  gateway = await startGateway();
});
afterAll(() => gateway.stop());
beforeEach(() => gateway.redis.client.flushall());

const GREATEST = '9223372036854775807';
/** The text of the answer: a parser would round what it holds. */
async function ask(path: string, body: string): Promise<string> {
  const headers = { Authorization: `Bearer ${TOKEN}` };
  return (await fetch(gateway.url + path, { method: 'POST', headers, body })).text();
}

test.each([GREATEST, `-${GREATEST}`, '9007199254740993', '-9007199254740993', '9007199254740991', '0', '-7'])(
  '%s is returned with all its digits: alone, in a pipeline, in a transaction and from a script',
  async (integer) => {
    expect(await ask('/', `["SET", "n", ${integer}]`)).toBe('{"result":"OK"}');
    expect(await gateway.redis.client.get('n')).toBe(integer);
    expect(await ask('/', '["INCRBY", "n", 0]')).toBe(`{"result":${integer}}`);
    const both = '[["INCRBY", "n", 0], ["GET", "n"]]';
    expect(await ask('/pipeline', both)).toBe(`[{"result":${integer}},{"result":"${integer}"}]`);
    expect(await ask('/multi-exec', both)).toBe(`[{"result":${integer}},{"result":"${integer}"}]`);
    expect(await ask('/', `["SET", "m", "0"]`)).toBe('{"result":"OK"}');
    expect(await ask('/', `["INCRBY", "m", ${integer}]`)).toBe(`{"result":${integer}}`);
    const script = "return {redis.call('INCRBY', KEYS[1], 0), {redis.call('INCRBY', KEYS[1], 0)}}";
    // Lua's numbers are doubles: numbers that Redis has rounded stay rounded.
    const nested = await ask('/', JSON.stringify(['EVAL', script, 1, 'n']));
    expect(nested).toMatch(/^\{"result":\[-?\d+,\[-?\d+\]\]\}$/);
  },
);

test('a number in a command is the text that was sent', async () => {
  const numbers = [
    '1.0',
    '1e3',
    '-0',
    '0.1',
    '1E+2',
    '123456789012345678901234567890',
    '0.1000000000000000055',
  ];
  for (const number of numbers) {
    await ask('/', `["SET", "n", ${number}]`);
    expect(await gateway.redis.client.get('n')).toBe(number);
    await ask('/pipeline', `[["SET", "n", ${number}]]`);
    expect(await gateway.redis.client.get('n')).toBe(number);
  }
});

test('every 64-bit integer keeps its digits both ways', async () => {
  await fc.assert(
    fc.asyncProperty(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), async (integer) => {
      await ask('/', `["SET", "n", ${integer}]`);
      expect(await ask('/', '["INCRBY", "n", "0"]')).toBe(`{"result":${integer}}`);
    }),
    { numRuns: 100 },
  );
});

test('values that are no numbers stay unchanged', async () => {
  await ask('/', '["SET", "t", true]');
  expect(await gateway.redis.client.get('t')).toBe('true');
  expect(await ask('/', '["SET", "t", {"a": 12345678901234567890}]')).toMatch(
    /^\{"error":"ERR an argument is/,
  );
  expect(await ask('/', '["SET", "t", null]')).toMatch(/^\{"error":"ERR null/);
});
