import type { GenerationResult, InferenceInput } from '@warmwind/shared/contract/inference';
import type { StoredEvent } from '@warmwind/shared/contract/rooms';
import { keys } from '@warmwind/shared/engine/keys';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { ENGINE_WITHIN_MS } from '../../../infra/quality/testing/docker.ts';
import { waitFor } from '../../../infra/quality/testing/wait.ts';
import { createFleet, type Fleet, reached, type Worker, waitForEvents } from '../../testing/fleet.ts';
import { startModelServer, type TestModelServer } from '../../testing/model-server.ts';
import type { Submitted } from '../../testing/submissions.ts';

let fleet: Fleet;
const workers = new Set<Worker>();
const servers = new Set<TestModelServer>();
beforeAll(async () => {
  fleet = await createFleet();
}, ENGINE_WITHIN_MS);
afterEach(async () => {
  await Promise.all([...workers].map((worker) => worker.stop()));
  await Promise.all([...servers].map((server) => server.stop()));
  workers.clear();
  servers.clear();
  await fleet.queueRedis.client.del(keys.models(), keys.modelsLoading());
});
afterAll(() => fleet?.stop());

const serve = async (...models: string[]): Promise<TestModelServer> => {
  const server = await startModelServer(models);
  servers.add(server);
  return server;
};
const work = async (host: string, serves: TestModelServer[], more: Record<string, string> = {}) => {
  const worker = await fleet.worker(host, { MODEL_SERVERS: serves.map(({ url }) => url).join(), ...more });
  workers.add(worker);
  return worker;
};
const ask = (model = 'm', more: Partial<InferenceInput> = {}) => fleet.ask({ model, prompt: 'Hi', ...more });
/** Promotes a job that is delayed until its next attempt or delivery. */
const promote = async ({ jobId }: Submitted) =>
  (await fleet.queue('ai-inference').getJob(jobId))?.promote().catch(() => undefined);
const completed = async (job: Submitted) =>
  (await reached(fleet, job, 'completed')).result as GenerationResult;
/** Reads all events of a job's room, once the job has completed. */
const eventsOf = (job: Submitted) => waitForEvents(fleet, job, `job:${job.jobId}`, 'job.completed');
/** The output since the last `job.active`. */
const output = (events: StoredEvent[]): string =>
  events
    .slice(events.findLastIndex(({ type }) => type === 'job.active'))
    .flatMap(({ type, data }) => (type === 'job.output' && 'text' in data ? [data.text] : []))
    .join('');
/** Reads the number of deliveries of a job. */
const deliveries = async ({ jobId }: Submitted) =>
  Number((await fleet.queue('ai-inference').getJob(jobId))?.attemptsStarted ?? 0);

test('an answer is streamed as output and is the result, with usage and times', async () => {
  const server = await serve('m');
  server.scripts.push({ pieces: ['Grüße', ' aus', ' dem', ' Modell 👋'], everyMs: 30 });
  await work('a', [server], { MODEL_SERVER_KEY: 'sesame' });
  const messages = [{ role: 'user' as const, content: 'Hello?' }];
  const job = await fleet.ask({ model: 'm', messages, maxTokens: 9, temperature: 0, seed: 5 });
  const result = await completed(job);
  expect(result).toMatchObject({
    model: 'm',
    text: 'Grüße aus dem Modell 👋',
    finishReason: 'stop',
    usage: { inputTokens: 7, outputTokens: 4 },
  });
  expect(result.runMs).toBeGreaterThanOrEqual(result.firstTokenMs);
  expect(Math.min(result.queueMs, result.firstTokenMs)).toBeGreaterThanOrEqual(0);
  expect(server.asked).toEqual([
    {
      authorization: 'Bearer sesame',
      body: expect.objectContaining({ messages, max_tokens: 9, temperature: 0, seed: 5 }),
    },
  ]);
  const events = await eventsOf(job);
  expect(output(events)).toBe(result.text);
  const outputs = events.flatMap((event) => (event.type === 'job.output' ? [event] : []));
  expect(outputs.length).toBeGreaterThan(1);
  for (const { run, data } of outputs) expect([run, data.attempt]).toEqual([1, 1]);
  const percents = events.flatMap(({ type, data }) => (type === 'job.progress' ? [data.percent] : []));
  expect(percents).toEqual([10, 30, 100]);
  expect(await fleet.events(job.userId, `user:${job.userId}`)).not.toContainEqual(
    expect.objectContaining({ type: 'job.output' }),
  );
});

test('an answer that breaks off is retried, and the output of the last attempt is the result', async () => {
  const server = await serve('m');
  server.scripts.push({ pieces: ['never', ' whole'], end: 'truncated' });
  server.scripts.push({ pieces: ['not', ' that'], end: 'error' });
  await work('a', [server]);
  const job = await ask();
  await reached(fleet, job, 'delayed');
  await waitFor('the end', async () => {
    await promote(job);
    return (await fleet.job(job))?.state === 'completed';
  });
  const events = await eventsOf(job);
  expect(output(events)).toBe((await completed(job)).text);
  const attempts = events.flatMap(({ type, data }) => (type === 'job.output' ? [data.attempt] : []));
  expect([...new Set(attempts)]).toEqual([1, 2, 3]);
  const reasons = events.flatMap(({ type, data }) =>
    type === 'job.retrying' ? [(data.error as { code: string }).code] : [],
  );
  expect(reasons).toEqual(['stream_truncated', 'model_unavailable']);
});

test('a permanent refusal of the server fails the job at once', async () => {
  const server = await serve('m');
  server.scripts.push({ refuse: { status: 400, body: { error: { message: 'maximum context length' } } } });
  await work('a', [server]);
  expect(await reached(fleet, await ask(), 'failed')).toMatchObject({
    attemptsMade: 1,
    error: { code: 'context_exceeded', retryable: false },
  });
});

test('a stopping worker requeues its job, and a peer answers it from the beginning in the same attempt', async () => {
  const [held, free] = [await serve('m'), await serve('m')];
  held.scripts.push({ pieces: ['This', ' is', ' half', ' of it'], holdAfter: 3 });
  free.scripts.push({ pieces: ['All', ' of it'], everyMs: 5 });
  const first = await work('a', [held]);
  const job = await ask();
  await waitFor('half of the answer', async () => {
    const text = output(await fleet.events(job.userId, `job:${job.jobId}`));
    return text === 'This is half';
  });
  await work('b', [free]);
  workers.delete(first);
  await first.stop();
  await waitFor('the request to be ended', () => held.open === 0 && held.left === 1);
  expect(await completed(job)).toMatchObject({ text: 'All of it' });
  const events = await eventsOf(job);
  expect(output(events)).toBe('All of it');
  const attempts = events.flatMap(({ type, data }) => (type === 'job.active' ? [data.attempt] : []));
  expect(attempts).toEqual([1, 1]);
});

test('a cancelled job ends its request at the server', async () => {
  const server = await serve('m');
  server.scripts.push({ holdAfter: 2 });
  await work('a', [server]);
  const job = await ask();
  await waitFor('the answer to begin', () => server.open === 1);
  await fleet.cancel(job);
  await waitFor('the request to be ended', () => server.open === 0 && server.left === 1);
  const events = await waitForEvents(fleet, job, `job:${job.jobId}`, 'job.cancelled');
  expect(events.filter(({ type }) => type === 'job.cancelled')).toHaveLength(1);
});

test('a job for an unknown model fails at once; a job for a model that loads waits', async () => {
  const server = await serve('m');
  await work('a', [server]);
  expect(await reached(fleet, await ask('other'), 'failed')).toMatchObject({
    attemptsMade: 1,
    error: { code: 'model_missing', retryable: false },
  });

  const loading = await serve('late');
  loading.health = 503;
  await work('b', [loading]);
  const published = () => fleet.queueRedis.client.zrange(keys.modelsLoading(), '0', '-1');
  await waitFor('the loading server to be published', async () => (await published()).includes('b'));
  const job = await ask('late');
  await waitFor('the job to be requeued', async () => (await deliveries(job)) >= 3);
  expect(await fleet.job(job)).toMatchObject({ attemptsMade: 0 });
  loading.health = 200;
  await waitFor('the answer', async () => {
    await promote(job);
    return (await fleet.job(job))?.state === 'completed';
  });
  expect(await fleet.job(job)).toMatchObject({ attemptsMade: 1 });
});

test('a busy server gets no further requests, no attempt is spent, and other models continue', async () => {
  const [busy, free] = [await serve('m'), await serve('n')];
  busy.waiting = 9;
  await work('a', [busy, free]);
  const job = await ask('m');
  await waitFor('the job to be requeued', async () => (await deliveries(job)) >= 1);
  await Promise.all([ask('n'), ask('n'), ask('n')].map(async (other) => completed(await other)));
  expect(busy.asked).toEqual([]);
  busy.waiting = 8;
  await waitFor('the answer', async () => {
    await promote(job);
    return (await fleet.job(job))?.state === 'completed';
  });
  expect(await fleet.job(job)).toMatchObject({ attemptsMade: 1 });
});

test('a job that waits spends no turn of the rate limit', async () => {
  const [busy, free] = [await serve('m'), await serve('n')];
  busy.waiting = 9;
  const queue = fleet.queue('ai-inference');
  // Earlier tests leave a shorter window.
  await queue.removeRateLimitKey();
  await work('a', [busy, free], { INFERENCE_LIMIT: '3/h' });
  const job = await ask('m');
  await waitFor('the job to be requeued several times', async () => {
    await promote(job);
    return (await deliveries(job)) >= 5;
  });
  // A running delivery of the job holds a turn for a moment.
  await fleet.cancel(job);
  await waitFor('the job to end', async () => (await queue.getActiveCount()) === 0);
  const others = [await ask('n'), await ask('n'), await ask('n')];
  for (const other of others) await completed(other);
  const last = await ask('n');
  await waitFor('the limit', async () => (await queue.getRateLimitTtl(3)) > 0);
  expect(await fleet.job(last)).toMatchObject({ state: 'queued' });
  await queue.removeRateLimitKey();
  await fleet.cancel(last);
});

test('a job that waits longer than MODEL_WAIT_MS fails with model_busy', async () => {
  const busy = await serve('m');
  busy.waiting = 9;
  await work('a', [busy], { MODEL_WAIT_MS: '100' });
  const job = await ask();
  await waitFor('the end', async () => {
    await promote(job);
    return (await fleet.job(job))?.state === 'failed';
  });
  expect(await fleet.job(job)).toMatchObject({
    attemptsMade: 3,
    error: { code: 'model_busy', retryable: true },
  });
});

test('a job that a server refuses with Retry-After completes later, without an attempt spent', async () => {
  const server = await serve('m');
  const refuse = { status: 429, body: { error: { message: 'slow down' } }, headers: { 'Retry-After': '1' } };
  server.scripts.push({ refuse });
  await work('a', [server]);
  const job = await ask();
  await waitFor('the refusal', () => server.asked.length === 1);
  await completed(job);
  expect(await fleet.job(job)).toMatchObject({ attemptsMade: 1 });
  expect(server.asked).toHaveLength(2);
});

test.each([429, 503])('a refusal with %s holds back its user, and not another user', async (status) => {
  const server = await serve('m');
  const error = { message: 'too many of yours' };
  server.scripts.push({ refuse: { status, body: { error }, headers: { 'Retry-After': '60' } } });
  await work('a', [server]);
  const [one, other] = ['ada', 'bob'];
  const refused = await fleet.ask({ model: 'm', prompt: 'Hi' }, one);
  await waitFor('the job to be requeued', async () => {
    return server.asked.length === 1 && (await fleet.queue('ai-inference').getDelayedCount()) > 0;
  });
  const second = await fleet.ask({ model: 'm', prompt: 'Hi' }, one);
  await waitFor('the second job to wait', async () => (await deliveries(second)) >= 1);
  await completed(await fleet.ask({ model: 'm', prompt: 'Hi' }, other));
  await promote(refused);
  await waitFor('the first job to be held back again', async () => (await deliveries(refused)) >= 2);
  expect(server.asked).toHaveLength(2);
  for (const job of [refused, second]) {
    expect(await fleet.job(job)).toMatchObject({ attemptsMade: 0 });
    await fleet.cancel(job);
  }
});

test('a job reaches the worker that has its model, without an attempt spent', async () => {
  const [m, n] = [await serve('m'), await serve('n')];
  await work('a', [m]);
  await work('b', [n]);
  const published = () => fleet.queueRedis.client.zrange(keys.models(), '0', '-1');
  await waitFor('both models to be published', async () => {
    const models = await published();
    return models.includes('a m') && models.includes('b n');
  });
  const jobs = await Promise.all(['m', 'n', 'm', 'n', 'm', 'n'].map((model) => ask(model)));
  for (const job of jobs) {
    await completed(job);
    expect(await fleet.job(job)).toMatchObject({ attemptsMade: 1 });
  }
});

test('requests go to the server with the least load, and not to one that died', async () => {
  const [one, two] = [await serve('m'), await serve('m')];
  one.scripts.push({ holdAfter: 1 });
  two.scripts.push({ holdAfter: 1 });
  const worker = await work('a', [one, two]);
  const jobs = [await ask(), await ask()];
  await waitFor('each to have one', () => one.open === 1 && two.open === 1);
  one.release();
  two.release();
  for (const job of jobs) await completed(job);
  servers.delete(one);
  await one.stop();
  await waitFor('the dead server to be noticed', async () => {
    const { servers: states } = ((await worker.probes.ready.models?.()) ?? {}) as {
      servers?: { up: number };
    };
    return states?.up === 1;
  });
  for (const job of [await ask(), await ask()]) {
    await completed(job);
    expect(await fleet.job(job)).toMatchObject({ attemptsMade: 1 });
  }
});
