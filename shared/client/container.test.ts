import { afterAll, beforeAll, expect, test } from 'vitest';
import { signToken } from '../../infra/local/edge/testing.ts';
import { type EdgeWithRelay, startEdgeWithRelay } from '../../infra/local/edge/with-relay.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { TestCallHost } from '../../relay/testing/call-host.ts';
import type { ActionsAnswer } from '../contract/actions/answer.ts';
import { CALL_COMMANDS } from '../contract/registry.ts';
import { keys } from '../engine/keys.ts';
import { ActionError } from './actions.ts';
import type { ContainerClient } from './container.ts';
import { JobFailedError, WarmwindError } from './errors.ts';
import { Picture } from './picture.ts';
import { createWarmwind, type Warmwind } from './warmwind.ts';

const USER = 'agent';
let world: EdgeWithRelay;
let calls: TestCallHost;
let warmwind: Warmwind;
let desktop: ContainerClient;
const ends: (() => unknown)[] = [];

beforeAll(async () => {
  world = await startEdgeWithRelay({
    RATE_LIMITS: '{"user": [], "ip": [], "containers.start": [], "containers.actions": []}',
  });
  warmwind = createWarmwind({ url: world.edge.url, token: () => signToken({ sub: USER }) });
  const realtime = { realtime: world.realtime, onTidy: (end: () => unknown) => ends.push(end) };
  calls = await TestCallHost.start(realtime, CALL_COMMANDS);
  desktop = await running();
});
afterAll(async () => {
  for (const end of ends) await end();
  await warmwind?.close();
  await world?.stop();
});

/** A container that is recorded as running, and whose calls the test answers. */
async function running(): Promise<ContainerClient> {
  const { containerId } = await warmwind.edge.startContainer();
  const record = keys.container(USER, containerId);
  await world.edge.gateway.redis.client.hset(record, { state: 'running', fence: 1 });
  calls.host.runs({ userId: USER, containerId }, 1);
  return warmwind.container(containerId);
}

/** Waits for the next call to reach its handler. */
async function next() {
  const taken = await waitFor('a call', () => calls.taken.at(0));
  calls.taken.shift();
  return taken;
}

const failureOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => expect.fail('it succeeded'),
    (error: unknown) => error,
  );

const STATE = {
  settled: 'quiet' as const,
  cursor: { x: 3, y: 4 },
  screen: { width: 800, height: 600 },
  incarnation: 1,
};
const answer = (results: ActionsAnswer['results']): ActionsAnswer => ({ ...STATE, results });
const done = answer([{ ok: true, changed: true, tookMs: 5 }]);

/** Every method that is one call, with the input that it sends. */
const METHODS: Record<string, [(options: { signal?: AbortSignal }) => Promise<unknown>, object]> = {
  click: [
    (options) => desktop.click(0, 5, { button: 'right', modifiers: 'ctrl', ...options }),
    { type: 'click', x: 0, y: 5, button: 'right', modifiers: 'ctrl' },
  ],
  'click at the pointer': [(options) => desktop.click(undefined, undefined, options), { type: 'click' }],
  doubleClick: [(options) => desktop.doubleClick(1, 2, options), { type: 'click', x: 1, y: 2, count: 2 }],
  tripleClick: [(options) => desktop.tripleClick(1, 2, options), { type: 'click', x: 1, y: 2, count: 3 }],
  move: [(options) => desktop.move(0, 0, options), { type: 'move', x: 0, y: 0 }],
  buttonDown: [(options) => desktop.buttonDown('left', options), { type: 'button_down', button: 'left' }],
  buttonUp: [(options) => desktop.buttonUp('left', options), { type: 'button_up', button: 'left' }],
  drag: [
    (options) =>
      desktop.drag(
        [
          { x: 0, y: 1 },
          { x: 9, y: 9 },
        ],
        options,
      ),
    {
      type: 'drag',
      path: [
        { x: 0, y: 1 },
        { x: 9, y: 9 },
      ],
    },
  ],
  scroll: [(options) => desktop.scroll(1, 2, { dy: -3 }, options), { type: 'scroll', x: 1, y: 2, dy: -3 }],
  type: [(options) => desktop.type('añ\n', options), { type: 'type', text: 'añ\n' }],
  key: [
    (options) => desktop.key('ctrl++', { count: 2, ...options }),
    { type: 'key', keys: 'ctrl++', count: 2 },
  ],
  hold: [(options) => desktop.hold(['a'], 50, options), { type: 'key', keys: ['a'], holdMs: 50 }],
  keyDown: [(options) => desktop.keyDown('shift', options), { type: 'key_down', keys: 'shift' }],
  keyUp: [(options) => desktop.keyUp('shift', options), { type: 'key_up', keys: 'shift' }],
  wait: [(options) => desktop.wait(10, options), { type: 'wait', ms: 10 }],
};

test.each(Object.entries(METHODS))(
  '%s sends its action, and returns what it did',
  async (_, [method, action]) => {
    const pending = method({});
    const { call, answer: reply } = await next();
    expect((call.input as { actions: object[] }).actions).toEqual([action]);
    reply(done);
    expect(await pending).toEqual({ ...STATE, ok: true, changed: true, tookMs: 5 });
  },
);

const ABORTABLE: Record<string, (signal: AbortSignal) => Promise<unknown>> = {
  ...Object.fromEntries(
    Object.entries(METHODS).map(([name, [method]]) => [name, (signal: AbortSignal) => method({ signal })]),
  ),
  act: (signal) => desktop.act([{ type: 'wait', ms: 1 }], { signal }),
  'clipboard.write': (signal) => desktop.clipboard.write('a', { signal }),
  endProcess: (signal) => desktop.endProcess('p', { signal }),
};

test.each(Object.entries(ABORTABLE))(
  'an abort of %s reaches the host of the container',
  async (_, method) => {
    const abort = new AbortController();
    const pending = failureOf(method(abort.signal));
    const { call, fail } = await next();
    expect(call.signal.aborted).toBe(false);
    const reason = new Error('enough');
    abort.abort(reason);
    expect(await pending).toBe(reason);
    await waitFor('the abort', () => call.signal.aborted);
    fail(new Error('aborted'));
  },
);

test('reads reject with the reason of their signal', async () => {
  const reads: ((options: { signal: AbortSignal }) => Promise<unknown>)[] = [
    (options) => desktop.screenshot({}, options),
    (options) => desktop.processes(options),
    (options) => desktop.clipboard.read(options),
    (options) => desktop.terminal({ cols: 80, rows: 24, ...options }),
    (options) => desktop.info(options),
    (options) => desktop.readText(options),
  ];
  for (const read of reads) {
    expect(await failureOf(read({ signal: AbortSignal.abort('enough') }))).toBe('enough');
    const abort = new AbortController();
    const pending = failureOf(read({ signal: abort.signal }));
    abort.abort('enough');
    expect(await pending).toBe('enough');
  }
});

test('an aborted start stops its desktop, and an aborted program cancels its job', async () => {
  const started = new AbortController();
  const start = failureOf(warmwind.start({ name: 'aborted' }, { signal: started.signal }));
  const find = async () =>
    (await warmwind.edge.listContainers()).items.find(({ name }) => name === 'aborted');
  await waitFor('the start', find);
  started.abort('enough');
  expect(await start).toBe('enough');
  await waitFor('the stop', async () => (await find())?.state !== 'requested');

  const run = new AbortController();
  const execution = desktop.exec(['sleep', '9'], { signal: run.signal });
  const jobId = await execution.jobId;
  const result = failureOf(execution.result);
  run.abort('enough');
  expect(await result).toBe('enough');
  await waitFor('the end of the job', async () => (await warmwind.edge.getJob(jobId)).state === 'cancelled');
});

test('an abort while a submission is on its way cancels the job once it is accepted', async () => {
  const abort = new AbortController();
  const execution = desktop.exec(['true'], { signal: abort.signal, idempotencyKey: 'aborted-early' });
  abort.abort('enough');
  expect(await failureOf(execution.result)).toBe('enough');
  const job = await waitFor('the job', async () => {
    const { items } = await warmwind.edge.listJobs({ kind: 'container.exec' });
    return items.find(({ containerId, state }) => containerId === desktop.id && state === 'cancelled');
  });
  expect(job.kind).toBe('container.exec');
});

test('a desktop is extended by a call, and paused and resumed by jobs', async () => {
  const expiresAt = '2026-11-25T11:00:00.250Z';
  const extending = desktop.extend(7200);
  const { call, answer: reply } = await next();
  expect(call.input).toEqual({ ttlSeconds: 7200 });
  reply({ expiresAt });
  expect(await extending).toEqual({ expiresAt });
  for (const [kind, run] of [
    ['container.pause', desktop.pause.bind(desktop)],
    ['container.resume', desktop.resume.bind(desktop)],
  ] as const) {
    const abort = new AbortController();
    const outcome = failureOf(run({ signal: abort.signal }));
    await waitFor(kind, async () => {
      const { items } = await warmwind.edge.listJobs({ kind });
      return items.some(({ containerId }) => containerId === desktop.id);
    });
    abort.abort('enough');
    expect(await outcome).toBe('enough');
  }
});

test('a failed action is an ActionError with its index and the outcome of those before it', async () => {
  const pending = failureOf(
    desktop.act([{ type: 'move', x: 1, y: 1 }, { type: 'type', text: 'a' }, { type: 'click' }]),
  );
  const { answer: reply } = await next();
  const error = { code: 'control_held', message: 'A person holds control.' };
  reply({
    ...answer([
      { ok: true, changed: false, tookMs: 1 },
      { ok: false, error, delivered: 0 },
      { skipped: true },
    ]),
    stoppedAt: 1,
  });
  const failure = await pending;
  expect(failure).toBeInstanceOf(ActionError);
  expect(failure).toBeInstanceOf(WarmwindError);
  expect(failure).toMatchObject({ code: 'control_held', index: 1, message: error.message });
  expect((failure as ActionError).outcome.results).toHaveLength(3);
});

test('a refusal is a WarmwindError with its code, before anything reaches the host', async () => {
  const refused = await failureOf(desktop.click(-1, 0));
  expect(refused).toBeInstanceOf(WarmwindError);
  expect(refused).toMatchObject({ code: 'bad_request' });
  expect(await failureOf(warmwind.container('no-such').click(1, 1))).toMatchObject({ code: 'not_found' });
  const nowhere = createWarmwind({ url: 'http://127.0.0.1:1', retries: { attempts: 1 } });
  expect(await failureOf(nowhere.container('c').click(1, 1))).toMatchObject({ code: 'network_error' });
  const terminal = await failureOf(warmwind.container('no-such').terminal({ cols: 80, rows: 24 }));
  expect(terminal).toBeInstanceOf(WarmwindError);
  expect(terminal).toMatchObject({ code: 'not_found' });
  const cancelled = desktop.exec(['true']);
  const result = failureOf(cancelled.result);
  await cancelled.jobId;
  await cancelled.cancel();
  expect(await result).toBeInstanceOf(JobFailedError);
  expect(await result).toMatchObject({ code: 'cancelled' });
});

test('pictures have their size, frame and bytes, in answers of actions and of screenshots', async () => {
  const bytes = Uint8Array.from({ length: 70_000 }, (_, n) => n % 251);
  const data = Buffer.from(bytes).toString('base64');
  const acting = desktop.act([{ type: 'screenshot' }], { screenshot: { format: 'webp' } });
  const picture = { frame: 'f1', width: 400, height: 300, format: 'webp' as const, data };
  (await next()).answer({
    ...answer([{ ok: true, changed: false, tookMs: 1, screenshot: picture }]),
    screenshot: picture,
  });
  const { results, screenshot } = await acting;
  for (const seen of [
    screenshot,
    results[0] && 'ok' in results[0] && results[0].ok && results[0].screenshot,
  ]) {
    expect(seen).toBeInstanceOf(Picture);
    expect(seen).toMatchObject({
      frame: 'f1',
      width: 400,
      height: 300,
      screen: STATE.screen,
      mediaType: 'image/webp',
    });
    expect((seen as Picture).bytes).toEqual(bytes);
  }

  const region = { x: 1, y: 2, width: 30, height: 40 };
  const looking = desktop.screenshot({ region, cursor: true, changedSince: 'f1', waitMs: 1200 });
  const { call, answer: reply } = await next();
  expect(call.input).toEqual({
    format: 'png',
    region: '1,2,30,40',
    cursor: 'true',
    changedSince: 'f1',
    wait: 2,
  });
  const headers = {
    ETag: '"f2"',
    'X-Screen-Width': '800',
    'X-Screen-Height': '600',
    'X-Picture-Width': '30',
    'X-Picture-Height': '40',
  };
  reply({ type: 'image/png', headers, bytes: Buffer.from(bytes) });
  const seen = await looking;
  expect(seen).toMatchObject({ frame: 'f2', width: 30, height: 40, format: 'png', screen: STATE.screen });
  expect(seen?.base64).toBe(data);
});
