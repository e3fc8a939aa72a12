import { type AddressInfo, connect, createServer } from 'node:net';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { waitFor } from '../../quality/testing/wait.ts';
import { startGateway, type TestGateway } from './testing.ts';

const COMMAND_MS = 300;
/** Long past every bound, and far below what a client without one would wait. */
const SOON_MS = 5000;
let gateway: TestGateway;

beforeAll(async () => {
  gateway = await startGateway({ commandMs: COMMAND_MS });
});
afterAll(() => gateway.stop());

const forms: [string, () => Promise<{ status: number; body: unknown }>][] = [
  ['a command', () => gateway.command('INCR', 'n')],
  ['a pipeline', () => gateway.send('/pipeline', post([['INCR', 'n']]))],
  ['a transaction', () => gateway.send('/multi-exec', post([['INCR', 'n']]))],
];
const post = (commands: unknown): RequestInit => ({ method: 'POST', body: JSON.stringify(commands) });
const within = <T>(promise: Promise<T>): Promise<T> =>
  Promise.race([
    promise,
    new Promise<T>((_, reject) => setTimeout(() => reject(new Error('no answer within the bound')), SOON_MS)),
  ]);
const recovered = () =>
  waitFor('service again', async () => (await gateway.command('PING')).status === 200 || undefined);

test('while Redis is away every form of request answers 503 at once, and works again afterwards', async () => {
  await gateway.redis.kill();
  await waitFor('the loss to be seen', async () => (await gateway.command('PING')).status === 503);
  for (const [, ask] of forms) {
    expect(await within(ask())).toEqual({
      status: 503,
      body: { error: 'ERR Redis is unavailable; nothing was executed, retry later' },
    });
  }
  const ready = await gateway.send('/health/ready');
  expect(ready).toMatchObject({ status: 503, body: { error: { redis: { message: 'redis is away' } } } });
  expect(await gateway.send('/health/live')).toMatchObject({ status: 200 });

  await gateway.redis.restart();
  await recovered();
  expect(await gateway.send('/health/ready')).toMatchObject({ status: 200 });
});

test.each(forms)('%s to a Redis that is frozen answers 504 within its bound', async (_name, ask) => {
  gateway.redis.freeze();
  try {
    expect(await within(ask())).toEqual({
      status: 504,
      body: { error: 'ERR Redis did not answer in time; the command may still be executed' },
    });
  } finally {
    gateway.redis.thaw();
    await recovered();
  }
});

test('a Redis that stays frozen is disconnected: requests then fail at once and none wait for it', async () => {
  gateway.redis.freeze();
  try {
    await waitFor('the connection to be closed', async () => (await gateway.command('PING')).status === 503);
    expect(await gateway.command('INCR', 'n')).toMatchObject({ status: 503 });
  } finally {
    gateway.redis.thaw();
  }
  await recovered();
});

test('a command whose answer was lost with the connection is reported as possibly executed, and is not run again', async () => {
  const armed = { value: false };
  const proxy = createServer((client) => {
    const server = connect(gateway.redis.port, '127.0.0.1');
    client.on('error', () => undefined).on('close', () => server.destroy());
    server.on('error', () => undefined).on('close', () => client.destroy());
    client.pipe(server);
    server.on('data', (reply) => (armed.value ? client.destroy() : client.write(reply)));
  });
  const port = await new Promise<number>((resolve) => {
    proxy.listen(0, '127.0.0.1', () => resolve((proxy.address() as AddressInfo).port));
  });
  const behind = await startGateway({}, `redis://127.0.0.1:${port}`);
  onTestFinished(async () => {
    await behind.stop();
    proxy.close();
  });
  for (const [index, kind] of ['', 'pipeline', 'multi-exec'].entries()) {
    const command = ['INCR', `lost-${index}`];
    armed.value = true;
    expect(await behind.send(`/${kind}`, post(kind ? [command] : command))).toEqual({
      status: 503,
      body: { error: 'ERR lost the connection to Redis; the command may have been executed' },
    });
    armed.value = false;
    await waitFor('service again', async () => (await behind.command('PING')).status === 200);
    expect(await gateway.redis.client.get(`lost-${index}`)).toBe('1');
  }
});
