import type { JobError } from '@warmwind/shared/contract/jobs';
import { OPERATORS, webhookSecret } from '@warmwind/shared/contract/webhook-target';
import { Webhook } from 'standardwebhooks';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { createHooks, type Hooks, WEBHOOK_SECRET } from '../testing/hooks.ts';
import { type Answer, type Receiver, startReceiver, status } from '../testing/receiver.ts';

const ERROR: JobError = { code: 'internal', message: 'Something went wrong.', retryable: true };
let hooks: Hooks;
const receivers: Receiver[] = [];
beforeAll(async () => {
  hooks = await createHooks();
});
afterEach(async () => {
  await hooks.rest();
  await Promise.all(receivers.splice(0).map((receiver) => receiver.stop()));
  await hooks.queue.obliterate({ force: true });
  hooks.lines.length = 0;
});
afterAll(() => hooks?.stop());

const receive = async (answer?: Answer): Promise<Receiver> => {
  const receiver = await startReceiver(answer);
  receivers.push(receiver);
  return receiver;
};
/** Waits until no webhook is queued or in flight. */
const idle = () =>
  waitFor('all webhooks to be done', async () => {
    const {
      waiting = 0,
      delayed = 0,
      active = 0,
    } = await hooks.queue.getJobCounts('waiting', 'delayed', 'active');
    return waiting + delayed + active === 0;
  });

test('the start and the end of a run are sent, signed with its owner’s secret, the end with its result', async () => {
  const { url, received } = await receive();
  hooks.deliver();
  const ref = await hooks.job(`${url}/hook?key=1`, 'ada');
  await hooks.run(hooks.records, ref, { state: 'completed', result: { text: 'hello' } });
  await waitFor('both', () => received.length === 2);
  const active = received.find(({ event }) => event.type === 'job.active');
  const end = received.find(({ event }) => event.type === 'job.completed');
  const { jobId } = ref;
  expect(active).toMatchObject({
    path: '/hook?key=1',
    headers: { 'content-type': 'application/json', 'webhook-id': `${jobId}.1.active` },
    event: {
      id: `${jobId}.1.active`,
      time: expect.any(String),
      data: { jobId, kind: 'inference', run: 1, state: 'active', attempt: 1 },
    },
  });
  expect(end).toMatchObject({
    headers: { 'webhook-id': `${jobId}.1.end` },
    event: { data: { jobId, run: 1, state: 'completed', attemptsMade: 1, result: { text: 'hello' } } },
  });
  const verifier = new Webhook(await webhookSecret(WEBHOOK_SECRET, 'ada'));
  expect(verifier.verify(end?.text ?? '', end?.headers as Record<string, string>)).toEqual(end?.event);
  const another = new Webhook(await webhookSecret(WEBHOOK_SECRET, 'bob'));
  expect(() => another.verify(end?.text ?? '', end?.headers as Record<string, string>)).toThrow();
});

test('repeated notifications of the same event are sent once', async () => {
  const { url, ids } = await receive();
  hooks.deliver();
  const ref = await hooks.job(url);
  await hooks.run(hooks.records, ref, { state: 'failed', error: ERROR });
  await idle();
  await hooks.records.jobs.republishEnds(ref);
  expect(await hooks.records.jobs.end(ref, { state: 'cancelled' })).toBe('ended');
  await hooks.records.jobs.republishEnds(ref);
  await idle();
  expect(ids().sort()).toEqual([`${ref.jobId}.1.active`, `${ref.jobId}.1.end`]);
});

test('a job without a webhook sends none', async () => {
  const ref = await hooks.job('');
  await hooks.run(hooks.records, ref, { state: 'completed' });
  expect(await hooks.queue.getJobCountByTypes('waiting', 'completed')).toBe(0);
});

test('a webhook is tried until accepted, with the same id and content', async () => {
  const { url, received } = await receive((response, n, one) =>
    status(n < 3 && one.event.type !== 'job.active' ? 500 : 200)(response, n, one),
  );
  const ref = await hooks.job(url);
  await hooks.run(hooks.records, ref, { state: 'completed', result: 7 });
  await (await hooks.queue.getJob(`${ref.jobId}.1.active`))?.remove();
  hooks.deliver();
  await waitFor('the third try', () => received.length === 3);
  expect(new Set(received.map(({ text }) => text)).size).toBe(1);
  expect(new Set(received.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
});

test('a result that is too large is left out and marked as truncated', async () => {
  const { url, received } = await receive();
  hooks.deliver();
  const ref = await hooks.job(url);
  await hooks.run(hooks.records, ref, { state: 'completed', result: 'x'.repeat(65_536) });
  const end = await waitFor('the end', () => received.find(({ event }) => event.type === 'job.completed'));
  expect(end.event.data).toMatchObject({ truncated: true });
  expect(end.event.data).not.toHaveProperty('result');
});

test('a 410 drops the webhook at once, and a redirect is not followed', async () => {
  const elsewhere = await receive();
  const { url, received } = await receive(status(410));
  const moved = await receive(status(307, { Location: elsewhere.url }));
  hooks.deliver();
  const gone = await hooks.job(url);
  await hooks.run(hooks.records, gone, { state: 'cancelled' });
  await idle();
  expect(received).toHaveLength(2);
  const redirected = await hooks.job(moved.url);
  await hooks.run(hooks.records, redirected, { state: 'cancelled' });
  await waitFor('more tries', () => moved.received.length > 3);
  expect(elsewhere.received).toHaveLength(0);
});

test('a webhook is dropped after its deadline, and the log names neither path nor query', async () => {
  const { url } = await receive(status(503));
  hooks.deliver({ giveUpMs: 300 });
  const ref = await hooks.job(`${url}/secret-path?secret-query`);
  await hooks.run(hooks.records, ref, { state: 'completed' });
  await idle();
  const dropped = hooks.lines.filter((line) => line.includes('webhook dropped'));
  expect(dropped).toHaveLength(2);
  expect(JSON.parse(dropped[0] ?? '')).toMatchObject({
    jobId: ref.jobId,
    why: 'given up',
    answer: 'answered 503',
  });
  expect(hooks.lines.join()).not.toContain('secret');
});

test('a receiver that never answers, or never stops answering, does not delay others', async () => {
  const silent = await receive(() => {});
  const endless = await receive((response) => {
    response.writeHead(200);
    const more = () => {
      if (!response.destroyed) response.write('x'.repeat(2000), () => setImmediate(more));
    };
    more();
  });
  const good = await receive();
  for (let n = 0; n < 30; n++) {
    for (const { url } of [silent, endless]) {
      await hooks.run(hooks.records, await hooks.job(url, `busy-${n % 15}`), { state: 'completed' });
    }
  }
  hooks.deliver({ answerWithinMs: 2000 });
  await waitFor('the silent receiver to use its share', () => silent.received.length === 10);
  await hooks.run(hooks.records, await hooks.job(good.url), { state: 'completed' });
  await waitFor('the good one', () => good.received.length === 2);
  await waitFor('all of the endless one, once', () => new Set(endless.ids()).size === 60);
  expect(endless.received).toHaveLength(60);
});

test('webhooks in flight at shutdown are sent by a peer at once', async () => {
  const { url, received, ids } = await receive((response, n, one) => n > 2 && status(200)(response, n, one));
  const first = hooks.deliver();
  await hooks.run(hooks.records, await hooks.job(url), { state: 'completed' });
  await waitFor('both to be on their way', () => received.length === 2);
  await first.close();
  hooks.deliver();
  await idle();
  expect(ids().slice(2).sort()).toEqual(ids().slice(0, 2).sort());
});

test.each(['failed', 'timed_out'] as const)(
  'a run that ended %s is reported to the operators once, at a private address too',
  async (state) => {
    const { url, received } = await receive();
    hooks.deliver({ alertUrl: url, allow: [] });
    const ref = await hooks.job('', 'ada');
    await hooks.run(hooks.alerting, ref, { state, error: ERROR });
    await hooks.alerting.jobs.republishEnds(ref);
    await idle();
    await hooks.alerting.jobs.republishEnds(ref);
    await idle();
    expect(received.map(({ event }) => event)).toEqual([
      {
        id: `${ref.jobId}.1.alert`,
        type: 'alert.job_failed',
        time: expect.any(String),
        data: {
          jobId: ref.jobId,
          kind: 'inference',
          run: 1,
          state,
          userId: 'ada',
          attemptsMade: 1,
          error: ERROR,
        },
      },
    ]);
    const [alert] = received;
    const verifier = new Webhook(await webhookSecret(WEBHOOK_SECRET, OPERATORS));
    expect(verifier.verify(alert?.text ?? '', alert?.headers as Record<string, string>)).toBeTruthy();
  },
);

test('a run that completed or was cancelled sends no alert', async () => {
  for (const state of ['completed', 'cancelled'] as const) {
    await hooks.run(hooks.alerting, await hooks.job(''), { state });
  }
  expect(await hooks.queue.getJobCountByTypes('waiting', 'completed')).toBe(0);
});

test('neither address nor result is stored in the queue', async () => {
  const ref = await hooks.job('http://hooks.test/secret-path');
  await hooks.run(hooks.records, ref, { state: 'completed', result: 'secret-result' });
  const jobs = await hooks.queue.getJobs();
  expect(jobs).toHaveLength(2);
  expect(JSON.stringify(jobs.map(({ data }) => data))).not.toContain('secret');
});
