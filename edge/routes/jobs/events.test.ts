import { request } from 'node:http';
import { keys } from '@warmwind/shared/engine/keys';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { signToken, startTestEdge, type TestEdge } from '../../../infra/local/edge/testing.ts';
import { waitFor } from '../../../infra/quality/testing/wait.ts';
import { startTestRelay, type TestRelay } from '../../testing/relay.ts';
import { emptyStores } from '../../testing/stores.ts';

let edge: TestEdge;
let relay: TestRelay;

beforeAll(async () => {
  relay = await startTestRelay();
  edge = await startTestEdge({
    RATE_LIMITS: '{"user": ["1000/s"], "containers.start": []}',
    RELAY_URL: relay.url,
  });
});
afterAll(async () => {
  await edge?.stop();
  await relay?.stop();
});
beforeEach(async () => {
  relay.asked.length = 0;
  relay.ended.clear();
  relay.silent = false;
  await emptyStores(edge);
});

const start = async (headers: Record<string, string> = {}) =>
  edge.call('ada', 'POST', '/containers/start', { headers });
/**
 * Sends a request on a connection of its own.
 * @returns a function that breaks the connection
 */
const open = async (method: string, path: string, headers: Record<string, string> = {}) => {
  const authorization = `Bearer ${await signToken({ sub: 'ada' })}`;
  const sent = request(edge.url + path, { method, headers: { ...headers, authorization }, agent: false });
  sent.on('error', () => undefined);
  sent.end();
  return () => sent.socket?.resetAndDestroy();
};
const path = async () => `/jobs/${(await start()).body.jobId}/events`;

describe('GET /jobs/:id/events', () => {
  test('200: the stream ends with the token that asked for it', async () => {
    const events = await path();
    const exp = Math.floor(Date.now() / 1000) + 90;
    const headers = { Authorization: `Bearer ${await signToken({ exp })}` };
    const answer = await edge.raw(undefined, events, { headers });
    expect(answer.status).toBe(200);
    expect(relay.asked.at(-1)?.exp).toBe(exp);
    await answer.body?.cancel();
  });

  test("200: the relay's stream as it comes, for the job's owner", async () => {
    const events = await path();
    const answer = await edge.raw('ada', events);
    expect([answer.status, answer.headers.get('Content-Type')]).toEqual([
      200,
      'text/event-stream; charset=utf-8',
    ]);
    expect(answer.headers.get('Cache-Control')).toBe('no-store');
    expect(answer.headers.get('X-Request-Id')).toBeTruthy();
    expect(relay.asked).toMatchObject([{ path: events, user: 'ada', lastEventId: undefined }]);
    const reader = (answer.body as ReadableStream<Uint8Array>).getReader();
    let text = '';
    const read = async (until: string) => {
      while (!text.includes(until)) {
        const { value, done } = await reader.read();
        if (done) throw new Error(`ended after ${text}`);
        text += new TextDecoder().decode(value);
      }
    };
    await read('hello');
    relay.send('id: 1-0\nevent: job.active\ndata: {}\n\n');
    await read('job.active');
    relay.finish();
    expect((await reader.read()).done).toBe(true);
  });

  test('200: continues after Last-Event-ID', async () => {
    const answer = await edge.raw('ada', await path(), { headers: { 'Last-Event-ID': '17-3' } });
    expect(relay.asked).toMatchObject([{ lastEventId: '17-3' }]);
    await answer.body?.cancel();
  });

  test('a reader that disconnects ends the stream at the next event', async () => {
    const leave = new AbortController();
    await edge.raw('ada', await path(), { signal: leave.signal });
    leave.abort();
    await waitFor('the stream to be closed', () => {
      relay.send(': beat\n\n');
      return relay.asked[0]?.gone;
    });
  });

  test('a reader whose connection breaks ends the stream, also before it begins', async () => {
    const events = await path();
    for (const silent of [false, true]) {
      relay.asked.length = 0;
      relay.silent = silent;
      const breakOff = await open('GET', events);
      await waitFor('the relay to be asked', () => relay.asked.length === 1);
      breakOff();
      await waitFor('the relay to be left', () => relay.asked[0]?.gone, 2500);
    }
  });

  test('HEAD opens no stream', async () => {
    const answer = await edge.raw('ada', await path(), { method: 'HEAD' });
    expect([answer.status, answer.headers.get('Content-Type')]).toEqual([
      200,
      'text/event-stream; charset=utf-8',
    ]);
    expect(relay.asked).toEqual([]);
  });

  test.each(['1', 'x-1', '1-0,2-0', '-', `${'9'.repeat(17)}-0`])('400: Last-Event-ID %j', async (id) => {
    const answer = await edge.call('ada', 'GET', await path(), { headers: { 'Last-Event-ID': id } });
    expect([answer.status, answer.body.code]).toEqual([400, 'bad_request']);
    expect(relay.asked).toEqual([]);
  });

  test("404: another user's job, an unknown id and an invalid id", async () => {
    const events = await path();
    expect((await edge.call('bob', 'GET', events)).status).toBe(404);
    expect((await edge.call('ada', 'GET', '/jobs/none/events')).status).toBe(404);
    expect((await edge.call('ada', 'GET', '/jobs/a%7Db/events')).status).toBe(404);
    expect(relay.asked).toEqual([]);
  });

  test('503: the relay does not begin to answer', async () => {
    const events = await path();
    relay.silent = true;
    const answer = await edge.call('ada', 'GET', events);
    expect([answer.status, answer.body.code]).toEqual([503, 'unavailable']);
    await waitFor('the request to be closed', () => relay.asked[0]?.gone);
  });
});

describe('Prefer: wait', () => {
  const done = (id: string, over = {}) => ({
    id,
    kind: 'container.start' as const,
    state: 'completed' as const,
    progress: 100,
    run: 1,
    attemptsMade: 1,
    createdAt: new Date().toISOString(),
    ...over,
  });
  const end = async (over = {}) => {
    const id = await waitFor('the relay to be asked', () => relay.asked[0]?.path.split('/')[2]);
    relay.ended.set(id, done(id, over));
    return id;
  };

  test('200: the finished job', async () => {
    const answering = start({ Prefer: 'wait=10' });
    const id = await end({ result: { a: 1 } });
    const answer = await answering;
    expect([answer.status, answer.headers.get('Preference-Applied')]).toEqual([200, 'wait=10']);
    expect(answer.body).toEqual(done(id, { result: { a: 1 }, createdAt: answer.body.createdAt }));
    expect(relay.asked).toMatchObject([{ user: 'ada', path: `/jobs/${id}/end?waitMs=10000` }]);
  });

  test('202: a job that has not ended in time, which is accepted all the same', async () => {
    const answer = await start({ Prefer: 'wait=1' });
    expect(answer.status).toBe(202);
    expect(answer.headers.get('Preference-Applied')).toBeNull();
    expect(Object.keys(answer.body)).toEqual(['jobId', 'containerId']);
  });

  test('200: every submission supports it', async () => {
    const { jobId, containerId } = (await start()).body;
    const waited = async (url: string, body: object) => {
      relay.asked.length = 0;
      const answering = edge.call('ada', 'POST', url, { headers: { Prefer: 'wait=5' }, body });
      await end({ run: 2 });
      return (await answering).status;
    };
    expect(await waited(`/containers/${containerId}/stop`, {})).toBe(200);
    expect(await waited('/inference', { model: 'm', prompt: 'p' })).toBe(200);
    await edge.gateway.redis.client.hset(keys.job('ada', String(jobId)), 'state', 'failed');
    expect(await waited(`/jobs/${jobId}/retry`, {})).toBe(200);
  });

  test('202: the end of the previous run is not the end of this one', async () => {
    const { jobId } = (await start()).body;
    await edge.gateway.redis.client.hset(keys.job('ada', String(jobId)), 'state', 'failed');
    relay.ended.set(String(jobId), done(String(jobId), { state: 'failed' }));
    const answer = await edge.call('ada', 'POST', `/jobs/${jobId}/retry`, { headers: { Prefer: 'wait=1' } });
    expect([answer.status, answer.body.run]).toEqual([202, 2]);
  });

  test('a caller whose connection breaks ends the wait', async () => {
    const breakOff = await open('POST', '/containers/start', { Prefer: 'wait=10' });
    await waitFor('the relay to be asked', () => relay.asked.length === 1);
    breakOff();
    await waitFor('the relay to be left', () => relay.asked[0]?.gone, 5000);
  });

  test('202: an invalid preference is ignored', async () => {
    for (const prefer of ['wait=0', 'wait=-1', 'wait=soon', 'wait', 'respond-async', '']) {
      expect((await start({ Prefer: prefer })).status).toBe(202);
    }
    expect(relay.asked).toEqual([]);
  });
});

test('without a relay a submission is answered 202, and events 503', async () => {
  const lonely = await startTestEdge({ RELAY_URL: 'http://127.0.0.1:1' });
  try {
    const headers = { Prefer: 'wait=10' };
    const answer = await lonely.call('ada', 'POST', '/containers/start', { headers });
    expect(answer.status).toBe(202);
    expect((await lonely.call('ada', 'GET', `/jobs/${answer.body.jobId}/events`)).status).toBe(503);
  } finally {
    await lonely.stop();
  }
});
