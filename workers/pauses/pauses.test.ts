import { containerActions } from '@warmwind/shared/contract/commands/container-actions';
import { containerExtend } from '@warmwind/shared/contract/commands/container-extend';
import { containerProcesses } from '@warmwind/shared/contract/commands/container-processes';
import { containerScreenshot } from '@warmwind/shared/contract/commands/container-screenshot';
import { ApiError } from '@warmwind/shared/contract/errors';
import { keys } from '@warmwind/shared/engine/keys';
import { containersById } from '@warmwind/shared/engine/ledger/reads';
import type { Caller, CallRequest } from '@warmwind/shared/engine/node/caller';
import { OUTSTANDING_MS } from '@warmwind/shared/engine/records';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { ENGINE_WITHIN_MS } from '../../infra/quality/testing/docker.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { createTestCaller } from '../testing/caller.ts';
import { duringSweep } from '../testing/during-sweep.ts';
import { createFleet, type Fleet, reached, type Worker, waitForEvents } from '../testing/fleet.ts';
import type { Submitted } from '../testing/submissions.ts';
import { watch } from '../testing/viewer.ts';

let fleet: Fleet;
let worker: Worker;
let desktop: Submitted;
let caller: Caller;
let closeCaller: () => Promise<void>;
/** The events of the container's room that earlier tests have seen. */
let seen = 0;

beforeAll(async () => {
  fleet = await createFleet();
  ({ caller, close: closeCaller } = await createTestCaller(fleet.realtime.url));
  worker = await fleet.worker('a');
  desktop = await fleet.startDesktop({ idleSeconds: 600, onIdle: 'pause' });
  await reached(fleet, desktop, 'completed');
}, ENGINE_WITHIN_MS);
beforeEach(async () => {
  seen = (await room()).length;
});
afterAll(async () => {
  await closeCaller?.();
  await fleet?.stop();
});

const room = () => fleet.events(desktop.userId, `container:${desktop.containerId}`);
/** The events of the container's room in this test, with who paused it. */
const events = async () =>
  (await room())
    .slice(seen)
    .map(({ type, data }) => (type === 'container.paused' ? `${type} by ${data.by}` : type));
const call = (more: Partial<CallRequest> = {}) =>
  caller.call({
    command: containerScreenshot,
    userId: desktop.userId,
    containerId: desktop.containerId,
    incarnation: 1,
    credential: 'token:test',
    input: containerScreenshot.input.parse({}),
    ...more,
  });
const codeOf = (asked: Promise<unknown>): Promise<string> =>
  asked.then(
    () => 'answered',
    (error: unknown) => (error instanceof ApiError ? error.code : String(error)),
  );
const engineState = async (of = desktop) => {
  const { State } = await fleet.docker.getContainer(await fleet.instance(of)).inspect();
  return State.Status;
};
const stateOf = async () => {
  const { state, pausedBy } = (await fleet.container(desktop)) ?? {};
  return [state, pausedBy];
};
const pause = async () => reached(fleet, await fleet.pauseDesktop(desktop), 'completed');
const resume = async () => reached(fleet, await fleet.resumeDesktop(desktop), 'completed');
const restart = async () => {
  await worker.stop();
  worker = await fleet.worker('a');
};
/** Has the record say that the desktop was last used long ago, and another process of its host read it. */
const restartLater = async () => {
  await worker.stop();
  const { userId, containerId } = desktop;
  await fleet.queueRedis.client.hset(keys.container(userId, containerId), { usedAt: Date.now() - 700_000 });
  worker = await fleet.worker('a');
};
const becomeIdle = async () => {
  await restartLater();
  await waitFor('its pause', async () => {
    await worker.sweep();
    return (await stateOf())[1] === 'idle';
  });
};

test('a requested pause freezes the desktop until a request resumes it, and both happen once', async () => {
  await pause();
  expect(await stateOf()).toEqual(['paused', 'request']);
  expect(await engineState()).toBe('paused');
  await pause();
  expect(await codeOf(call())).toBe('paused');
  await resume();
  expect(await stateOf()).toEqual(['running', undefined]);
  expect(await engineState()).toBe('running');
  await resume();
  expect(await codeOf(call())).toBe('answered');
  expect(await events()).toEqual(['container.paused by request', 'container.resumed']);
});

test('a paused desktop takes a new time to live and stays paused; the record and the ledger have it', async () => {
  await pause();
  const before = Date.now();
  const extend = { command: containerExtend, input: { ttlSeconds: 7200 }, keyHash: 'e'.repeat(64) };
  const answers = [await call(extend), await call(extend)];
  const [expiresAt = 0, again] = answers.map(({ bytes }) => Date.parse(JSON.parse(`${bytes}`).expiresAt));
  expect(again).toBe(expiresAt);
  expect(answers.map(({ replayed }) => replayed)).toEqual([false, true]);
  expect(expiresAt).toBeGreaterThanOrEqual(before + 7_200_000);
  expect(Date.parse((await fleet.container(desktop))?.expiresAt ?? '')).toBe(expiresAt);
  const rowOf = () => fleet.ledger.run((db) => containersById(db, [desktop.containerId]));
  await waitFor('its row', async () => (await rowOf())[0]?.expiresAt?.getTime() === expiresAt);
  expect(await engineState()).toBe('paused');
  await resume();
  expect(await events()).toEqual(['container.paused by request', 'container.extended', 'container.resumed']);
});

test('calls in progress end with `paused`; of actions, the one in progress does', async () => {
  const frameOf = async () => (await call()).headers.ETag?.replaceAll('"', '');
  const changedSince = await waitFor('a screen at rest', async () => {
    const frame = await frameOf();
    return frame === (await frameOf()) ? frame : undefined;
  });
  const look = codeOf(call({ input: containerScreenshot.input.parse({ changedSince, wait: 10 }) }));
  const input = containerActions.input.parse({ actions: [{ type: 'wait', ms: 30_000 }], settle: false });
  const act = call({ command: containerActions, input });
  await waitFor('the actions', async () => (await fleet.realtime.client.keys('*claim*')).length > 0);
  await pause();
  expect(await look).toBe('paused');
  expect(JSON.parse(`${(await act).bytes}`).results).toMatchObject([
    { ok: false, error: { code: 'paused' } },
  ]);
  await resume();
});

test('a program is frozen with its desktop, also for the next process of its host, and then continues', async () => {
  const script = 'echo begun; while [ ! -e /tmp/go ]; do sleep 0.02; done; echo ended';
  const job = await fleet.exec(desktop, { cmd: ['sh', '-c', script] });
  await waitForEvents(fleet, job, `job:${job.jobId}`, 'job.output');
  await pause();
  const open = keys.openContainers(desktop.userId);
  await fleet.queueRedis.client.zadd(open, Date.now() + 1000, desktop.containerId);
  await restart();
  await worker.sweep();
  // It counts for the quota.
  const countedUntil = await fleet.queueRedis.client.zscore(open, desktop.containerId);
  expect(Number(countedUntil)).toBeGreaterThan(Date.now() + OUTSTANDING_MS / 2);
  expect([await codeOf(call()), await engineState()]).toEqual(['paused', 'paused']);
  await resume();
  await reached(fleet, await fleet.exec(desktop, { cmd: ['touch', '/tmp/go'] }), 'completed');
  expect((await reached(fleet, job, 'completed')).result).toMatchObject({ stdout: 'begun\nended\n' });
});

test('the sweep makes the engine agree with the record, both ways', async () => {
  const engine = fleet.docker.getContainer(await fleet.instance(desktop));
  await engine.pause();
  await worker.sweep();
  expect(await engineState()).toBe('running');
  await pause();
  await engine.unpause();
  await worker.sweep();
  expect(await engineState()).toBe('paused');
  await resume();
});

test('an idle desktop is paused, and one resumption serves all calls that come at once', async () => {
  await becomeIdle();
  expect(await engineState()).toBe('paused');
  expect(
    await Promise.all(
      Array.from({ length: 20 }, () => codeOf(call({ command: containerProcesses, input: {} }))),
    ),
  ).toEqual(Array.from({ length: 20 }, () => 'answered'));
  expect(await stateOf()).toEqual(['running', undefined]);
  expect(await events()).toEqual(['container.paused by idle', 'container.resumed']);
});

test('a program and a viewer resume a desktop that is paused because it was idle', async () => {
  await becomeIdle();
  await reached(fleet, await fleet.exec(desktop, { cmd: ['true'] }), 'completed');
  expect(await engineState()).toBe('running');
  await becomeIdle();
  const viewer = await watch(fleet.realtime.url, desktop.containerId);
  await waitFor('the screen', () => viewer.canvas.width > 0);
  expect(await stateOf()).toEqual(['running', undefined]);
  await viewer.stop();
});

test('a recent use outlives a restart of the worker', async () => {
  const key = keys.container(desktop.userId, desktop.containerId);
  const before = Date.now();
  await call();
  await worker.sweep();
  expect(Number(await fleet.queueRedis.client.hget(key, 'usedAt'))).toBeGreaterThanOrEqual(before);
  await restart();
  await worker.sweep();
  expect(await stateOf()).toEqual(['running', undefined]);
});

test('a desktop whose program runs is in use, also before its job is delivered to the next process', async () => {
  const job = await fleet.exec(desktop, { cmd: ['sleep', '600'] });
  await reached(fleet, job, 'active');
  // By then the first one has been started.
  await reached(fleet, await fleet.exec(desktop, { cmd: ['true'] }), 'completed');
  await fleet.queue(job.queue).pause();
  await restartLater();
  for (let sweep = 0; sweep < 3; sweep++) await worker.sweep();
  expect(await stateOf()).toEqual(['running', undefined]);
  await fleet.queue(job.queue).resume();
  await fleet.cancel(job);
  await reached(fleet, job, 'cancelled');
});

test('a pause that is not recorded leaves no mark', async () => {
  const { userId, containerId } = desktop;
  const key = keys.container(userId, containerId);
  const claims = async () => (await fleet.realtime.client.keys('*claim*')).length;
  const before = await claims();
  // The pause waits for it before it changes the record.
  const input = containerActions.input.parse({ actions: [{ type: 'wait', ms: 30_000 }], settle: false });
  const act = call({ command: containerActions, input });
  await waitFor('the actions', async () => (await claims()) > before);
  const pausing = await fleet.pauseDesktop(desktop);
  await waitFor('the mark', async () => (await codeOf(call())) === 'paused');
  const aside = `${key}:aside`;
  await fleet.queueRedis.client.multi().rename(key, aside).set(key, 'no record').exec();
  expect(JSON.parse(`${(await act).bytes}`).results).toMatchObject([{ error: { code: 'paused' } }]);
  await waitFor('calls to be answered', async () => (await codeOf(call())) === 'answered');
  await fleet.queueRedis.client.rename(aside, key);
  await reached(fleet, pausing, 'completed');
  await resume();
});

test('an extension and a requested pause during a sweep win over its expiry and its idleness', async () => {
  const key = keys.container(desktop.userId, desktop.containerId);
  await fleet.queueRedis.client.hset(key, { expiresAt: Date.now() - 1 });
  const input = { ttlSeconds: 7200 };
  await duringSweep(worker, () => call({ command: containerExtend, input, keyHash: 'f'.repeat(64) }));
  expect(await stateOf()).toEqual(['running', undefined]);

  const spec = JSON.parse((await fleet.queueRedis.client.hget(key, 'spec')) ?? '');
  const patch = (more: object) =>
    fleet.queueRedis.client.hset(key, { spec: JSON.stringify({ ...spec, ...more }) });
  await patch({ idleSeconds: 7200 });
  await restartLater();
  // The process knows from now on how long the desktop was idle.
  await worker.sweep();
  await patch({ onIdle: 'stop' });
  await duringSweep(worker, pause);
  expect([await stateOf(), await engineState()]).toEqual([['paused', 'request'], 'paused']);
  await patch({});
  await resume();
});

test('the time to live of a paused desktop ends, and nothing of it is left', async () => {
  await pause();
  const key = keys.container(desktop.userId, desktop.containerId);
  await fleet.queueRedis.client.hset(key, { expiresAt: Date.now() - 1 });
  await worker.sweep();
  expect(await fleet.container(desktop)).toMatchObject({ state: 'stopped', endReason: 'expired' });
  expect(await fleet.containers()).toEqual([]);
  const refused = await fleet.resumeDesktop(desktop).catch((error: Error) => error.message);
  expect(refused).toBe('not accepted: ended');
});
