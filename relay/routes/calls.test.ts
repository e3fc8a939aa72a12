import { containerScreenshot } from '@warmwind/shared/contract/commands/container-screenshot';
import { ApiError } from '@warmwind/shared/contract/errors';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { peek, poke } from '../../workers/calls/testing/commands.ts';
import { LIMITS } from '../limits.ts';
import { TestCallHost } from '../testing/call-host.ts';
import { metric, ticket, upTo, World } from '../testing/world.ts';

let world: World;

beforeAll(async () => {
  world = await World.start();
});
afterEach(() => world.tidy());
afterAll(() => world?.stop());

type Claims = Parameters<typeof ticket>[1];
type Asking = { headers?: Record<string, string>; body?: string; claims?: Claims; signal?: AbortSignal };

async function ask(url: string, path: string, { headers, body, claims, signal }: Asking = {}) {
  const Authorization = `Bearer ${await ticket('ann', { mode: 'control', ...claims })}`;
  return fetch(url + path, {
    method: 'POST',
    headers: { Authorization, ...headers },
    body: body ?? '{"n":1}',
    ...(signal ? { signal } : {}),
  });
}
const codeOf = async (response: Response) => [response.status, (await response.json()).code];

/** A node, a container of ann's and its host. */
async function start() {
  const commands = [poke, peek];
  const { url } = await world.node({}, 0, commands);
  const id = await world.container('ann', { state: 'running', fence: 3 });
  const host = await TestCallHost.start(world, commands);
  host.host.runs({ userId: 'ann', containerId: id }, 3);
  const nth = (n = 1) => waitFor(`call ${n}`, () => host.taken.at(n - 1));
  return { url, id, host, nth, poking: `/containers/${id}/calls/test.poke` };
}

test('a call with effects runs once for its idempotency key and returns the answer of its host', async () => {
  const { url, poking, host, nth } = await start();
  const headers = { 'Idempotency-Key': 'k', 'If-Match': '"3"' };
  const claims = { credential: 'token:t1' };
  const asking = ask(url, poking, { headers, claims });
  const { call, answer } = await nth();
  expect(call).toMatchObject({ userId: 'ann', incarnation: 3, credential: 'token:t1', input: { n: 1 } });
  answer({ n: 2 });
  const response = await asking;
  expect(response.status).toBe(200);
  expect(Object.fromEntries(response.headers)).toMatchObject({
    'content-type': 'application/json',
    'x-incarnation': '3',
  });
  expect(response.headers.has('idempotent-replayed')).toBe(false);
  expect(await response.json()).toEqual({ n: 2 });
  const again = await ask(url, poking, { headers });
  expect([again.headers.get('idempotent-replayed'), await again.json()]).toEqual(['true', { n: 2 }]);
  expect(await codeOf(await ask(url, poking, { headers, body: '{"n":2}' }))).toEqual([409, 'conflict']);
  expect(host.taken).toHaveLength(1);
});

test('a refusal of the host reaches the client with its details', async () => {
  const { url, poking, nth } = await start();
  const asking = ask(url, poking, { claims: { id: 'ticket-1' } });
  const { call, fail } = await nth();
  // Without a credential of the edge the call names the ticket.
  expect(call.credential).toBe('ticket:ticket-1');
  fail(new ApiError('busy', 'Wait.', { retryAfterMs: 1500 }));
  const response = await asking;
  expect([response.status, response.headers.get('retry-after')]).toEqual([429, '2']);
  expect(await response.json()).toMatchObject({ code: 'busy', message: 'Wait.', retryAfterMs: 1500 });
});

test('invalid and forbidden calls are refused before they reach the host', async () => {
  const { url, id, poking, host } = await start();
  const foreign = await world.container('bob', { state: 'running' });
  const stopped = await world.container('ann', { state: 'stopped' });
  const refusals: [string, Asking, unknown[]][] = [
    [poking, { headers: { 'If-Match': '"2"' } }, [409, 'gone_incarnation']],
    [poking, { headers: { 'If-Match': '3' } }, [400, 'bad_request']],
    [poking, { headers: { 'Idempotency-Key': 'a b' } }, [400, 'bad_request']],
    [poking, { body: '{' }, [400, 'bad_request']],
    [poking, { body: '[]' }, [400, 'bad_request']],
    [poking, { body: '{"n":1,"m":1}' }, [400, 'bad_request']],
    [poking, { body: `{"n":1,"m":"${'x'.repeat(300_000)}"}` }, [413, 'payload_too_large']],
    [poking, { claims: { mode: 'view' } }, [403, 'forbidden']],
    [poking, { claims: { containerId: id } }, [404, 'not_found']],
    [`/containers/${id}/calls/test.unheard-of`, {}, [404, 'not_found']],
    [`/containers/${foreign}/calls/test.poke`, {}, [404, 'not_found']],
    ['/containers/nothing/calls/test.poke', {}, [404, 'not_found']],
    [`/containers/${stopped}/calls/test.poke`, {}, [409, 'conflict']],
  ];
  for (const [path, asking, expected] of refusals) {
    expect(await codeOf(await ask(url, path, asking)), JSON.stringify([path, asking])).toEqual(expected);
  }
  expect((await ask(url, poking, { claims: { secret: 'x'.repeat(32) } })).status).toBe(401);
  expect(host.taken).toHaveLength(0);
});

test('a client that disconnects aborts its call; a shared read continues for the other clients', async () => {
  const { url, id, poking, host, nth } = await start();
  const gone = new AbortController();
  const left = ask(url, poking, { signal: gone.signal }).catch(() => 'left');
  const { call, fail } = await nth();
  gone.abort();
  expect(await left).toBe('left');
  await waitFor('the handler to be aborted', () => call.signal.aborted);
  fail(new Error('aborted'));
  const peeking = `/containers/${id}/calls/test.peek`;
  const first = ask(url, peeking);
  await nth(2);
  const [one, two] = [new AbortController(), new AbortController()];
  const sharers = [one, two].map(({ signal }) => ask(url, peeking, { signal }).catch(() => 'left'));
  await waitFor('all to wait', async () => (await metric(url, 'warmwind_relay_calls')) === 3);
  one.abort();
  (await nth(2)).answer({ n: 1 });
  expect((await first).status).toBe(200);
  const shared = await nth(3);
  await waitFor('the first to have left', async () => (await metric(url, 'warmwind_relay_calls')) === 1);
  expect(shared.call.signal.aborted).toBe(false);
  two.abort();
  await waitFor('the read to be aborted', () => shared.call.signal.aborted);
  shared.fail(new Error('aborted'));
  await Promise.all(sharers);
  expect(host.taken).toHaveLength(3);
});

test('a user has a bounded number of concurrent calls, and does not use up those of another user', async () => {
  const { url, nth, host } = await start();
  const silent = await Promise.all(
    upTo(LIMITS.callsPerSubject).map(() => world.container('ann', { state: 'running' })),
  );
  for (const containerId of silent) host.host.runs({ userId: 'ann', containerId }, 0);
  const asking = silent.map((each) => ask(url, `/containers/${each}/calls/test.poke`));
  await nth(LIMITS.callsPerSubject);
  const [one = ''] = silent;
  const refused = await ask(url, `/containers/${one}/calls/test.poke`);
  expect([refused.headers.get('retry-after'), ...(await codeOf(refused))]).toEqual([
    '1',
    429,
    'rate_limited',
  ]);
  const own = await world.container('bob', { state: 'running' });
  host.host.runs({ userId: 'bob', containerId: own }, 0);
  const others = fetch(`${url}/containers/${own}/calls/test.poke`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${await ticket('bob', { mode: 'control' })}` },
    body: '{"n":1}',
  });
  (await nth(LIMITS.callsPerSubject + 1)).answer({ n: 1 });
  expect((await others).status).toBe(200);
  for (const { answer } of host.taken) answer({ n: 1 });
  for (const response of await Promise.all(asking)) expect(response.status).toBe(200);
});

test('a node that is killed while it waits does not delay the next call', async () => {
  const node = await world.process();
  const id = await world.container('ann', { state: 'running' });
  const host = await TestCallHost.start(world, [containerScreenshot]);
  host.host.runs({ userId: 'ann', containerId: id }, 0);
  const path = `/containers/${id}/calls/container.screenshot`;
  const lost = ask(node.url, path, { body: '{}' }).catch(() => 'lost');
  const first = await waitFor('the call', () => host.taken.at(0));
  await node.end('SIGKILL');
  expect(await lost).toBe('lost');
  const { url } = await world.node();
  const asking = ask(url, path, { body: '{}' });
  const next = await waitFor('the next call', () => host.taken.at(1));
  for (const { answer } of [first, next]) answer({ type: 'image/png', headers: {}, bytes: Buffer.from('x') });
  expect(await (await asking).text()).toBe('x');
});

test('while the realtime Redis is away calls are refused; they succeed when it is back', async () => {
  const { url, poking, nth } = await start();
  await world.realtime.kill();
  expect(await codeOf(await ask(url, poking))).toEqual([503, 'unavailable']);
  await world.realtime.restart();
  const answered = waitFor('an answer', async () => {
    const response = await ask(url, poking);
    return response.status === 200 && response.json();
  });
  (await nth()).answer({ n: 9 });
  expect(await answered).toEqual({ n: 9 });
});
