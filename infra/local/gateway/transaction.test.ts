import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { startGateway, type TestGateway } from './testing.ts';

let gateway: TestGateway;

beforeAll(async () => {
  gateway = await startGateway();
});
afterAll(() => gateway.stop());
beforeEach(() => gateway.redis.client.flushall());

const multi = (...commands: unknown[][]) =>
  gateway.send('/multi-exec', { method: 'POST', body: JSON.stringify(commands) });

test('no command of another request or client runs between the commands of a transaction', async () => {
  let done = false;
  const disturb = async (increment: () => Promise<unknown>) => {
    while (!done) await Promise.all(Array.from({ length: 20 }, increment));
  };
  const padding = 'x'.repeat(400);
  const transact = async () => {
    for (let round = 0; round < 8; round++) {
      const transaction = gateway.client.multi();
      for (let i = 0; i < 150; i++) transaction.incr('n').set('padding', padding);
      const counts = (await transaction.exec<unknown[]>()).filter((result) => typeof result === 'number');
      expect(counts).toEqual(counts.map((_, i) => (counts[0] as number) + i));
    }
  };
  const disturbers = [disturb(() => gateway.client.incr('n')), disturb(() => gateway.redis.client.incr('n'))];
  try {
    await Promise.all([transact(), transact(), transact()]);
  } finally {
    done = true;
    await Promise.all(disturbers);
  }
});

test('a command that fails while it runs has its error in its place, and the others stand', async () => {
  expect(await multi(['SET', 'k', 'text'], ['INCR', 'k'], ['GET', 'k'])).toEqual({
    status: 200,
    body: [{ result: 'OK' }, { error: 'ERR value is not an integer or out of range' }, { result: 'text' }],
  });
});

test.each([
  ['that Redis does not know', ['NONSENSE', 'k'], /^EXECABORT .* ERR unknown command/],
  ['with a wrong number of arguments', ['GET'], /^EXECABORT .* ERR wrong number/],
  ['that is denied', ['FLUSHALL'], /^ERR 'FLUSHALL' is not available/],
  ['that ends the transaction early', ['EXEC'], /^ERR 'EXEC' is not available/],
  ['that is no command', ['SET', 'k', { object: true }], /^ERR an argument is/],
])('a command %s discards the complete transaction with one error', async (_what, command, error) => {
  expect(await multi(['SET', 'k', '1'], command)).toEqual({
    status: 400,
    body: { error: expect.stringMatching(error) },
  });
  expect(await gateway.redis.client.exists('k')).toBe(0);
});

test('a discarded transaction leaves the connection usable for the next request', async () => {
  const bad = () => multi(['SET', 'k', '1'], ['NONSENSE']);
  const good = () => multi(['SET', 'j', '1'], ['GET', 'j']);
  const answers = await Promise.all([bad(), good(), bad(), gateway.command('SET', 'i', '1'), good()]);
  expect(answers.map(({ status }) => status)).toEqual([400, 200, 400, 200, 200]);
});
