import type { StoredEvent } from '@warmwind/shared/contract/rooms';
import { keys } from '@warmwind/shared/engine/keys';
import { appendEvents } from '@warmwind/shared/engine/node/event-log';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launch } from '../../quality/e2e/browser.ts';
import { storedEvent } from '../../quality/testing/events.ts';
import type { TestRedis } from '../../quality/testing/redis.ts';
import { waitFor } from '../../quality/testing/wait.ts';
import { signToken, type TestEdge } from './testing.ts';
import { startEdgeWithRelay } from './with-relay.ts';

let edge: TestEdge;
let realtime: TestRedis;
let stop: () => Promise<void>;

beforeAll(async () => {
  ({ edge, realtime, stop } = await startEdgeWithRelay({
    RATE_LIMITS: '{"user": [], "containers.start": []}',
  }));
});
afterAll(() => stop?.());

const infer = (headers = {}) =>
  edge.call('ada', 'POST', '/inference', { body: { model: 'm', prompt: 'p' }, headers });

/** A submission that waits, and its job. */
async function waited() {
  const { client } = edge.gateway.redis;
  const before = await client.zcard(keys.jobs('ada'));
  const answering = infer({ Prefer: 'wait=10' });
  await waitFor('the job', async () => (await client.zcard(keys.jobs('ada'))) > before);
  const [jobId = ''] = await client.zrange(keys.jobs('ada'), '-1', '-1');
  return { answering, jobId };
}

/** Ends a run as a worker does: the record, then the event. */
async function end(jobId: string, run: number, state: 'completed' | 'failed'): Promise<void> {
  await edge.gateway.redis.client.hset(keys.job('ada', jobId), { state, run });
  await publish(jobId, storedEvent(`job.${state}`, { jobId }, { run }), `end:${run}`);
}
const publish = (jobId: string, event: StoredEvent, token: string) =>
  appendEvents(realtime.client, { userId: 'ada', room: `job:${jobId}` }, [{ event, token }]);

test('events of a job arrive live, resume after Last-Event-ID, and end with its latest run', async () => {
  const { jobId } = (await infer()).body as { jobId: string };
  await publish(jobId, storedEvent('job.active', { jobId }), 'active:1');
  const answer = await edge.raw('ada', `/jobs/${jobId}/events`);
  expect(answer.status).toBe(200);
  let text = '';
  const reading = (async () => {
    for await (const chunk of (answer.body as ReadableStream<Uint8Array<ArrayBuffer>>).pipeThrough(
      new TextDecoderStream(),
    ))
      text += chunk;
  })();
  await waitFor('the log', () => text.includes('event: job.active'));
  await end(jobId, 1, 'failed');
  await reading;
  expect(text).toContain('event: job.failed');
  const [, first = ''] = /^id: (.+)$/m.exec(text) ?? [];
  const rest = await edge.raw('ada', `/jobs/${jobId}/events`, { headers: { 'Last-Event-ID': first } });
  const after = await rest.text();
  expect(after).toContain('event: job.failed');
  expect(after).not.toContain('event: job.active');
});

test('Prefer: wait answers with the ended job, after a retry with its new run', async () => {
  const { answering, jobId } = await waited();
  await end(jobId, 1, 'failed');
  const answer = await answering;
  expect([answer.status, answer.headers.get('Preference-Applied')]).toEqual([200, 'wait=10']);
  expect(answer.body).toMatchObject({ id: jobId, state: 'failed', run: 1 });

  const retrying = edge.call('ada', 'POST', `/jobs/${jobId}/retry`, { headers: { Prefer: 'wait=10' } });
  const run = () => edge.gateway.redis.client.hget(keys.job('ada', jobId), 'run');
  await waitFor('the new run', async () => (await run()) === '2');
  await end(jobId, 2, 'completed');
  expect((await retrying).body).toMatchObject({ id: jobId, state: 'completed', run: 2 });
});

test('Prefer: wait answers with a job that is cancelled meanwhile', async () => {
  const { answering, jobId } = await waited();
  expect((await edge.call('ada', 'DELETE', `/jobs/${jobId}`)).status).toBe(202);
  expect((await answering).body).toMatchObject({ id: jobId, state: 'cancelled' });
});

test('a browser’s EventSource makes two requests for a finished job, and none after', async () => {
  const { jobId } = (await infer()).body as { jobId: string };
  await end(jobId, 1, 'completed');
  const browser = await launch();
  try {
    const page = await browser.newPage({
      extraHTTPHeaders: { Authorization: `Bearer ${await signToken({ sub: 'ada' })}` },
    });
    await page.goto(`${edge.url}/`);
    const statuses: number[] = [];
    page.on('response', (response) => {
      if (response.url().endsWith('/events')) statuses.push(response.status());
    });
    const seen = await page.evaluate(
      (path) =>
        new Promise<string[]>((resolve) => {
          const types: string[] = [];
          const source = new EventSource(path);
          for (const type of ['job.queued', 'job.completed']) {
            source.addEventListener(type, () => types.push(type));
          }
          source.onerror = () => {
            if (source.readyState === EventSource.CLOSED) resolve(types);
          };
        }),
      `/jobs/${jobId}/events`,
    );
    expect(seen).toEqual(['job.completed']);
    expect(statuses).toEqual([200, 204]);
  } finally {
    await browser.close();
  }
}, 30_000);
