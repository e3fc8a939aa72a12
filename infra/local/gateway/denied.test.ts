import { afterAll, beforeAll, expect, test } from 'vitest';
import { waitFor } from '../../quality/testing/wait.ts';
import { denialOf } from './denied.ts';
import { startGateway, type TestGateway } from './testing.ts';

let gateway: TestGateway;

beforeAll(async () => {
  gateway = await startGateway();
});
afterAll(() => gateway.stop());

/** Redis marks these as not for scripts or as blocking; each is allowed for the given reason. */
const ALLOWED: Record<string, string> = {
  eval: 'runs a script',
  eval_ro: 'runs a script',
  evalsha: 'runs a script',
  evalsha_ro: 'runs a script',
  fcall: 'runs a function',
  fcall_ro: 'runs a function',
  role: 'only looks',
  'script|load': 'what EVALSHA needs',
  'script|exists': 'what EVALSHA needs',
  xread: 'blocks only by an option, which is denied',
  xreadgroup: 'blocks only by an option, which is denied',
};

type Described = [name: string, arity: number, flags: string[], ...rest: unknown[]];

test('every command that Redis itself marks as blocking, administrative or bound to a connection is denied', async () => {
  const described = (await gateway.redis.client.call('COMMAND')) as Described[];
  const all = described.flatMap((entry) => [entry, ...((entry[9] as Described[] | undefined) ?? [])]);
  const marked = all.filter(([, , flags]) =>
    ['blocking', 'admin', 'noscript'].some((flag) => flags.includes(flag)),
  );
  expect(marked.length).toBeGreaterThan(50);
  const passed = marked.filter(([full]) => {
    const [name = '', ...args] = full.toUpperCase().split('|');
    return denialOf({ name, args }) === undefined;
  });
  expect(passed.map(([name]) => name).sort()).toEqual(Object.keys(ALLOWED).sort());
});

test.each([
  [['FLUSHALL']],
  [['flushdb', 'ASYNC']],
  [['SELECT', 1]],
  [['SWAPDB', 0, 1]],
  [['MIGRATE', 'host', 6379, 'k', 0, 10]],
  [['CLIENT', 'REPLY', 'OFF']],
  [['SUBSCRIBE', 'c']],
  [['MULTI']],
  [['SCRIPT', 'flush']],
  [['SCRIPT']],
  [['XREAD', 'COUNT', 1, 'block', 0, 'STREAMS', 's', '$']],
  [['XREADGROUP', 'GROUP', 'g', 'c', 'BLOCK', 0, 'STREAMS', 's', '>']],
])('%j answers 400 with the reason, also in a pipeline with allowed commands', async (command) => {
  const error = expect.stringMatching(/^ERR '[A-Z]+' is not available over REST here: \w+/);
  expect(await gateway.command(...command)).toEqual({ status: 400, body: { error } });
  const body = JSON.stringify([['SET', 'k', '1'], command, ['GET', 'k']]);
  expect(await gateway.send('/pipeline', { method: 'POST', body })).toEqual({
    status: 200,
    body: [{ result: 'OK' }, { error }, { result: '1' }],
  });
});

test('streams are read without blocking, also by a group that is called block', async () => {
  await gateway.command('XADD', 's', '1-1', 'f', 'v');
  expect(await gateway.command('XREAD', 'COUNT', 5, 'STREAMS', 's', 0)).toMatchObject({
    body: { result: [['s', [['1-1', ['f', 'v']]]]] },
  });
  await gateway.command('XGROUP', 'CREATE', 's', 'block', 0);
  expect(await gateway.command('XREADGROUP', 'GROUP', 'block', 'c', 'STREAMS', 's', '>')).toMatchObject({
    status: 200,
  });
});

test('a name that every JavaScript object has is no command, and does not keep the gateway from reconnecting', async () => {
  for (const name of ['constructor', '__proto__', 'CONSTRUCTOR', 'hasOwnProperty']) {
    expect(await gateway.command(name, 'x')).toMatchObject({ status: 400 });
  }
  await gateway.redis.kill();
  await gateway.redis.restart();
  await waitFor('service again', async () => (await gateway.command('PING')).status === 200);
});
