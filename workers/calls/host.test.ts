import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ToCallHost } from '@warmwind/shared/contract/call-wire';
import type { CallCommand } from '@warmwind/shared/contract/command';
import { ApiError } from '@warmwind/shared/contract/errors';
import { newId } from '@warmwind/shared/contract/ids';
import { callKeys } from '@warmwind/shared/engine/keys';
import type { Caller, CallRequest } from '@warmwind/shared/engine/node/caller';
import { hashInput } from '@warmwind/shared/engine/node/input-hash';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { startRedis, type TestRedis } from '../../infra/quality/testing/redis.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { createAbortCall } from '../commands/abort-call.ts';
import { createTestCaller } from '../testing/caller.ts';
import { killed } from '../testing/fleet.ts';
import type { Call, CallHandler } from './call.ts';
import type { CallHost } from './host.ts';
import { OpenCalls } from './open-calls.ts';
import { glance, peek, poke, print } from './testing/commands.ts';
import { createTestHost } from './testing/host.ts';

let redis: TestRedis;
let caller: Caller;
let closeCaller: () => Promise<void>;
const closes: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  redis = await startRedis();
  ({ caller, close: closeCaller } = await createTestCaller(redis.url));
});
afterEach(async () => {
  for (const close of closes.splice(0).reverse()) await close();
});
afterAll(async () => {
  await closeCaller();
  await redis.stop();
});

/** A call that reached a handler, which the test answers. */
type Taken = Call<{ n: number }> & { answer: (answer: object) => void; fail: (error: Error) => void };

/** Starts a host whose calls the test answers. */
function startHost(open = new OpenCalls()): { host: CallHost; taken: Taken[] } {
  const taken: Taken[] = [];
  const handle: CallHandler = (call) =>
    new Promise((answer, fail) => {
      taken.push({ ...(call as Call<{ n: number }>), answer, fail });
      call.signal.addEventListener('abort', () => fail(new Error('aborted')));
    });
  const { host, close } = createTestHost(
    redis.url,
    [
      { command: poke, handle },
      { command: print, handle },
      { command: peek, handle },
    ],
    open,
  );
  closes.push(() => {
    for (const { fail } of taken) fail(new Error('the test is over'));
    return close();
  });
  return { host, taken };
}

const containerOf = (...hosts: CallHost[]): string => {
  const containerId = newId();
  for (const host of hosts) host.runs({ userId: 'ann', containerId }, 1);
  return containerId;
};

const KEY = 'a'.repeat(64);
const send = (containerId: string, more: Partial<CallRequest> & { command?: CallCommand } = {}) =>
  caller.call({
    command: poke,
    userId: 'ann',
    containerId,
    incarnation: 1,
    credential: 'token:t',
    input: { n: 1 },
    ...more,
  });
const json = async (answer: ReturnType<typeof send>) =>
  JSON.parse((await answer).bytes.toString()) as unknown;
const codeOf = (answer: Promise<unknown>): Promise<unknown> =>
  answer.then(
    () => 'answered',
    (error: unknown) => (error instanceof ApiError ? error.code : error),
  );
/** The `n`th call that reached a handler. */
const nth = (taken: Taken[], n = 1) => waitFor(`call ${n}`, () => taken.at(n - 1));

test('a call reaches its handler as it was sent, and its caller receives the answer or error', async () => {
  const { host, taken } = startHost();
  const containerId = containerOf(host);
  const answer = send(containerId, { input: { n: 7 } });
  const call = await nth(taken);
  expect(call).toMatchObject({
    userId: 'ann',
    containerId,
    incarnation: 1,
    credential: 'token:t',
    input: { n: 7 },
  });
  expect(call.deadline - Date.now()).toBeLessThanOrEqual(poke.timeoutMs);
  call.answer({ n: 8 });
  expect(await answer).toMatchObject({ type: 'application/json', headers: {}, replayed: false });
  expect(await json(answer)).toEqual({ n: 8 });
  const failing = send(containerId);
  (await nth(taken, 2)).fail(new ApiError('conflict', 'Not now.', { retryAfterMs: 5 }));
  await expect(failing).rejects.toMatchObject({
    code: 'conflict',
    message: 'Not now.',
    details: { retryAfterMs: 5 },
  });
});

test('a call of another incarnation or user, or with a wrong input or kind, is refused', async () => {
  const { host, taken } = startHost();
  const containerId = containerOf(host);
  expect(await codeOf(send(containerId, { incarnation: 2 }))).toBe('gone_incarnation');
  expect(await codeOf(send(containerId, { userId: 'bob' }))).toBe('not_found');
  expect(await codeOf(send(containerId, { input: { n: 1, m: 2 } }))).toBe('bad_request');
  const unknown = { ...poke, kind: 'test.unheard-of' };
  expect(await codeOf(send(containerId, { command: unknown }))).toBe('unavailable');
  host.runs({ userId: 'ann', containerId }, 2);
  expect(await codeOf(send(containerId))).toBe('gone_incarnation');
  expect(taken).toHaveLength(0);
});

test('a call is a use of its container, unless its command says that it is none', async () => {
  const used: string[] = [];
  const handle: CallHandler = async () => ({ n: 1 });
  const routes = [peek, glance].map((command) => ({ command, handle }));
  const { host, close } = createTestHost(redis.url, routes, undefined, (id) => void used.push(id));
  closes.push(close);
  const containerId = containerOf(host);
  await send(containerId, { command: glance });
  expect(used).toEqual([]);
  await send(containerId, { command: peek });
  expect(used).toEqual([containerId]);
});

test('malformed, damaged, misrouted and late calls and stray replies are ignored', async () => {
  const { host, taken } = startHost();
  const containerId = containerOf(host);
  const input = '{"n":1}';
  const envelope = {
    callId: newId(),
    userId: 'ann',
    containerId,
    incarnation: 1,
    credential: 'token:t',
    deadline: Date.now() + 5000,
    inputHash: hashInput(input),
  };
  const message: ToCallHost = { t: 'call', envelope, kind: poke.kind, caller: newId(), input };
  const others = [
    { ...message, input: '{"n":2}' },
    { ...message, envelope: { ...envelope, deadline: Date.now() - 1 } },
    { ...message, envelope: { ...envelope, containerId: newId() } },
    { ...message, envelope: { ...envelope, more: 1 } },
    { ...message, caller: 'a b' },
    { ...message, keyHash: 'short' },
    { t: 'unheard-of' },
    null,
  ].map((other) => JSON.stringify(other));
  const inbox = callKeys.inbox(containerId);
  await waitFor('the host to listen', async () => Number(await redis.client.spublish(inbox, 'nonsense')) > 0);
  for (const text of [...others, '{', `"${'x'.repeat(2 ** 20)}"`]) await redis.client.spublish(inbox, text);
  // Replies to unknown calls, and malformed replies.
  const replies = (await redis.client.call('PUBSUB', 'SHARDCHANNELS', '*:replies')) as string[];
  for (const channel of replies) {
    for (const text of ['', '{}', '{}\n', `${JSON.stringify({ callId: newId() })}\n`, 'x'.repeat(2 ** 20)]) {
      await redis.client.spublish(channel, text);
    }
  }
  const answer = send(containerId, { input: { n: 3 } });
  (await nth(taken)).answer({ n: 4 });
  expect(await json(answer)).toEqual({ n: 4 });
  expect(taken.map((call) => call.input)).toEqual([{ n: 3 }]);
});

test('the same key and input gets the same answer or error, another input a conflict', async () => {
  const { host, taken } = startHost();
  const containerId = containerOf(host);
  const first = send(containerId, { keyHash: KEY });
  (await nth(taken)).answer({ n: 2 });
  expect((await first).replayed).toBe(false);
  const again = send(containerId, { keyHash: KEY });
  expect(await json(again)).toEqual({ n: 2 });
  expect((await again).replayed).toBe(true);
  expect(await codeOf(send(containerId, { keyHash: KEY, input: { n: 2 } }))).toBe('conflict');
  const failing = send(containerId, { keyHash: 'b'.repeat(64) });
  (await nth(taken, 2)).fail(new ApiError('bad_request', 'No.', { issues: [{ path: 'n', message: 'no' }] }));
  const refused = {
    code: 'bad_request',
    message: 'No.',
    details: { issues: [{ path: 'n', message: 'no' }] },
  };
  await expect(failing).rejects.toMatchObject(refused);
  await expect(send(containerId, { keyHash: 'b'.repeat(64) })).rejects.toMatchObject(refused);
  const [claim = ''] = await redis.client.keys(`*${containerId}*claim*`);
  const ttlMs = await redis.client.pttl(claim);
  expect(ttlMs > 200_000 && ttlMs <= 300_000).toBe(true);
  expect(taken).toHaveLength(2);
});

test('a call whose claim Redis lost is not carried out again', async () => {
  const { host, taken } = startHost();
  const containerId = containerOf(host);
  const first = send(containerId, { keyHash: KEY });
  await waitFor('the call', () => taken.length === 1);
  await redis.client.flushall();
  taken[0]?.answer({ n: 1 });
  await first;
  expect(await codeOf(send(containerId, { keyHash: KEY }))).toBe('outcome_unknown');
  await redis.client.flushall();
  expect(await codeOf(send(containerId, { keyHash: KEY }))).toBe('outcome_unknown');
  expect(await codeOf(send(containerId, { keyHash: KEY, input: { n: 9 } }))).toBe('conflict');
  expect(taken).toHaveLength(1);
});

test('an answer too large to keep is returned once; one beyond its command’s limit is not', async () => {
  const { host, taken } = startHost();
  const containerId = containerOf(host);
  const large = { n: 1, text: 'x'.repeat(100_000) };
  const first = send(containerId, { keyHash: KEY });
  (await nth(taken)).answer(large);
  expect(await json(first)).toEqual(large);
  expect(await codeOf(send(containerId, { keyHash: KEY }))).toBe('conflict');
  const huge = send(containerId);
  (await nth(taken, 2)).answer({ n: 1, text: 'x'.repeat(300_000) });
  expect(await codeOf(huge)).toBe('unavailable');
  expect(await redis.client.keys('*answer*')).toEqual([]);
});

test('a repeated request gets the same answer; of one too large to keep, the part that its command keeps', async () => {
  const { host, taken } = startHost();
  const containerId = containerOf(host);
  for (const [index, length] of [100, 100_000].entries()) {
    const request = { command: print, keyHash: `${index}`.repeat(64) };
    const complete = { n: index, text: 'x'.repeat(length) };
    const first = send(containerId, request);
    (await nth(taken, index + 1)).answer(complete);
    expect(await json(first)).toEqual(complete);
    const again = send(containerId, request);
    expect(await json(again)).toEqual(length > 65_536 ? { n: index } : complete);
    expect((await again).replayed).toBe(true);
  }
  expect(taken).toHaveLength(2);
});

test('calls with effects on one container run one after the other; a tenth is refused as `busy`', async () => {
  const { host, taken } = startHost();
  const containerId = containerOf(host);
  const other = containerOf(host);
  const calls = [1, 2, 3, 4, 5, 6, 7, 8, 9].map((n) => send(containerId, { input: { n } }));
  expect(await codeOf(send(containerId, { input: { n: 10 } }))).toBe('busy');
  await nth(taken);
  expect(taken).toHaveLength(1);
  const elsewhere = send(other, { input: { n: 0 } });
  (await nth(taken, 2)).answer({ n: 0 });
  await elsewhere;
  (await nth(taken)).answer({ n: 1 });
  for (let n = 2; n <= 9; n++) {
    const call = await nth(taken, n + 1);
    expect(taken).toHaveLength(n + 1);
    call.answer({ n });
  }
  expect((await Promise.all(calls)).length).toBe(9);
});

test('a caller that leaves aborts its running call, and its waiting call is never begun', async () => {
  const { host, taken } = startHost();
  const containerId = containerOf(host);
  const [first, second] = [new AbortController(), new AbortController()];
  const running = codeOf(send(containerId, { signal: first.signal, keyHash: KEY }));
  const call = await nth(taken);
  const waiting = codeOf(send(containerId, { signal: second.signal, input: { n: 2 } }));
  await waitFor('it to wait', () => caller.waiting === 2);
  second.abort('gone');
  expect(await waiting).toBe('gone');
  first.abort('gone');
  expect(await running).toBe('gone');
  await waitFor('the handler to be aborted', () => call.signal.aborted);
  // A repeated request cannot know the effects of the aborted call.
  expect(await codeOf(send(containerId, { keyHash: KEY }))).toBe('outcome_unknown');
  const next = send(containerId, { input: { n: 3 } });
  (await nth(taken, 2)).answer({ n: 3 });
  await next;
  expect(taken.map(({ input }) => input.n)).toEqual([1, 3]);
});

test('an unanswered call is `outcome_unknown` if it may have had effects, else `upstream_timeout`', async () => {
  const { host, taken } = startHost();
  const containerId = containerOf(host);
  const short = <C extends CallCommand>(command: C): C => ({ ...command, timeoutMs: 300 });
  expect(await codeOf(send(containerId, { command: short(poke) }))).toBe('outcome_unknown');
  expect(await codeOf(send(containerId, { command: short(peek) }))).toBe('upstream_timeout');
  expect(taken).toHaveLength(2);
  await waitFor('both to be aborted', () => taken.every(({ signal }) => signal.aborted));
  // No host listens: nothing was done.
  expect(await codeOf(send(newId(), { command: short(poke) }))).toBe('upstream_timeout');
});

test('two processes that receive the same call carry it out once, and both requests are answered', async () => {
  const [one, two] = [startHost(), startHost()];
  const containerId = containerOf(one.host, two.host);
  const inbox = callKeys.inbox(containerId);
  await waitFor('both to listen', async () => Number(await redis.client.spublish(inbox, '')) === 2);
  const first = send(containerId, { keyHash: KEY });
  const call = await waitFor('one to begin', () => one.taken.at(0) ?? two.taken.at(0));
  const again = send(containerId, { keyHash: KEY });
  await waitFor('both to be sent', () => caller.waiting === 2);
  call.answer({ n: 5 });
  expect([await json(first), await json(again)]).toEqual([{ n: 5 }, { n: 5 }]);
  expect(one.taken.length + two.taken.length).toBe(1);
});

test('a call whose process is killed in its midst is `outcome_unknown`, and is never repeated', async () => {
  const containerId = newId();
  const file = join(mkdtempSync(join(tmpdir(), 'calls-')), 'effects');
  const program = fileURLToPath(new URL('testing/poker.ts', import.meta.url));
  const child: ChildProcess = spawn(process.execPath, [program, redis.url, 'ann', containerId, file], {
    stdio: 'inherit',
  });
  closes.push(() => killed(child));
  const effects = () => {
    try {
      return readFileSync(file, 'utf8');
    } catch {
      return '';
    }
  };
  const first = codeOf(send(containerId, { keyHash: KEY, command: { ...poke, timeoutMs: 8000 } }));
  await waitFor('the effect', () => effects() !== '');
  await killed(child);
  const { host, taken } = startHost();
  host.runs({ userId: 'ann', containerId }, 1);
  for (let round = 0; round < 2; round++) {
    expect(await codeOf(send(containerId, { keyHash: KEY }))).toBe('outcome_unknown');
  }
  expect(await first).toBe('outcome_unknown');
  expect([effects(), taken.length]).toEqual(['begun\n', 0]);
});

test('a running or waiting call is aborted by its key, and no other call', async () => {
  const calls = new OpenCalls();
  const { host, taken } = startHost(calls);
  const containerId = containerOf(host);
  const hashOf = (key: string) => createHash('sha256').update(key).digest('hex');
  const running = codeOf(send(containerId, { keyHash: hashOf('running') }));
  await nth(taken);
  const waiting = codeOf(send(containerId, { keyHash: hashOf('waiting') }));
  const last = codeOf(send(containerId, { keyHash: hashOf('last') }));
  const handler = createAbortCall(calls);
  const abort = async (of: string, key: string) =>
    (await handler({ containerId: of, input: { key } } as Parameters<typeof handler>[0])).aborted;
  expect(await abort(containerOf(host), 'running')).toBe(false);
  expect(await abort(containerId, 'no-such')).toBe(false);
  await waitFor('the waiting call', () => abort(containerId, 'waiting'));
  expect(await abort(containerId, 'running')).toBe(true);
  expect(await running).toBe('outcome_unknown');
  expect(await waiting).toBe('upstream_timeout');
  (await nth(taken, 2)).answer({ n: 3 });
  expect(await last).toBe('answered');
  expect(await abort(containerId, 'running')).toBe(false);
});
