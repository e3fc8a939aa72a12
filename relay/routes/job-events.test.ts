import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { jobEventsPath } from '@warmwind/shared/contract/tickets';
import { keys, roomKeys } from '@warmwind/shared/engine/keys';
import { appendEvents } from '@warmwind/shared/engine/node/event-log';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { storedEvent } from '../../infra/quality/testing/events.ts';
import { plannedRandom } from '../../infra/quality/testing/random.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { LIMITS } from '../limits.ts';
import { openStream, type TestStream } from '../testing/stream.ts';
import { connected, metric, percents, progress, ticket, upTo, World } from '../testing/world.ts';

let world: World;

beforeAll(async () => {
  world = await World.start();
});
afterEach(() => world.tidy());
afterAll(() => world?.stop());

/** Opens a stream of `ann` that is closed after the test. */
async function follow(url: string, job: string, lastEventId?: string): Promise<TestStream> {
  const stream = await openStream(url, await ticket('ann'), job, lastEventId);
  world.onTidy(stream.close);
  return stream;
}

/** Ends a run as workers do: the record first, then the event, whose token is remembered. */
async function end(job: string, run = 1, state = 'completed'): Promise<void> {
  await world.queue.client.hset(keys.job('ann', job), { state, run });
  const event = storedEvent('job.completed', { jobId: job, result: { run } }, { run });
  await appendEvents(world.realtime.client, { userId: 'ann', room: `job:${job}` }, [
    { event, token: `end:${run}` },
  ]);
}

const retry = (job: string, run: number) =>
  world.queue.client.hset(keys.job('ann', job), { state: 'queued', run });
const types = ({ events }: TestStream) => events.map(({ type }) => type);

test('a stream sends the log, then live events, and ends with the end of the job', async () => {
  const { url } = await world.node();
  const job = await world.job('ann');
  await world.append('ann', job, progress(1), progress(2));
  const stream = await follow(url, job);
  expect(stream.response.status).toBe(200);
  expect(stream.response.headers.get('content-type')).toMatch(/^text\/event-stream/);
  await waitFor('the log', () => stream.events.length === 2);
  await world.append('ann', job, progress(3));
  await waitFor('the new event', () => stream.events.length === 3);
  await end(job);
  await waitFor('the end', () => stream.over() === 'ended');
  expect(percents(stream.events)).toEqual([1, 2, 3]);
  expect(types(stream).at(-1)).toBe('job.completed');
  expect(await metric(url, 'warmwind_relay_open_answers')).toBe(0);
  expect(await metric(url, 'warmwind_relay_rooms')).toBe(0);
});

test('a client that reconnects to another node again and again receives every event once', async () => {
  const nodes = [await world.node(), await world.node()];
  const job = await world.job('ann');
  let produced = false;
  const producing = (async () => {
    for (let n = 1; n <= 400; n += 4) {
      await world.append('ann', job, ...[n, n + 1, n + 2, n + 3].map(progress));
      await sleep(4);
    }
    produced = true;
  })();
  const random = plannedRandom();
  const seen: TestStream['events'] = [];
  let hops = 0;
  while (!produced || percents(seen).at(-1) !== 400) {
    const stream = await follow(nodes[hops % 2]?.url ?? '', job, seen.at(-1)?.id);
    await sleep(random.next() * 60);
    stream.close();
    seen.push(...stream.events);
    hops += 1;
  }
  await producing;
  expect(hops).toBeGreaterThan(4);
  expect(percents(seen)).toEqual(upTo(400));
});

test('the stream of a retried job ends with the end of its latest run', async () => {
  const { url } = await world.node();
  const job = await world.job('ann');
  await end(job, 1);
  await retry(job, 2);
  const stream = await follow(url, job);
  await waitFor('the end of the first run', () => types(stream).includes('job.completed'));
  await world.append('ann', job, storedEvent('job.progress', { percent: 50 }, { run: 2 }));
  await waitFor('the second run', () => percents(stream.events).length === 1);
  expect(stream.over()).toBeUndefined();
  await end(job, 2);
  await waitFor('the end', () => stream.over() === 'ended');
  expect(stream.events.map(({ run }) => run)).toEqual([1, 2, 2]);
});

test('a client that has received the end gets 204, after each way to end and at the end of every run', async () => {
  const { url } = await world.node();
  for (const state of ['completed', 'failed', 'cancelled', 'timed_out']) {
    const job = await world.job('ann');
    await world.append('ann', job, progress(1));
    for (const run of [1, 2]) {
      await retry(job, run);
      await end(job, run, state);
      const first = await follow(url, job);
      await waitFor('the end', () => first.over() === 'ended');
      expect((await follow(url, job, first.lastId())).response.status).toBe(204);
      const before = first.events.at(-2)?.id;
      const resumed = await follow(url, job, before);
      await waitFor('the end again', () => resumed.over() === 'ended');
      expect(types(resumed)).toEqual(['job.completed']);
    }
  }
  await waitFor('nothing to be held', async () => (await metric(url, 'warmwind_relay_open_answers')) === 0);
  expect(await metric(url, 'warmwind_relay_rooms')).toBe(0);
});

test('a client that has received the end as a snapshot gets 204 until the job has a further run', async () => {
  const { url } = await world.node();
  const lost = await world.job('ann');
  const trimmed = await world.job('ann');
  for (const job of [lost, trimmed]) {
    await world.append('ann', job, ...upTo(5).map(progress));
    await end(job);
    await world.queue.client.hset(keys.job('ann', job), { finishedAt: Date.now() });
  }
  await world.realtime.client.del(roomKeys.log('ann', `job:${lost}`), roomKeys.meta('ann', `job:${lost}`));
  await world.realtime.client.xtrim(roomKeys.log('ann', `job:${trimmed}`), 'MAXLEN', 2);
  for (const job of [lost, trimmed]) {
    const first = await follow(url, job);
    await waitFor('the end', () => first.over() === 'ended');
    expect(types(first)).toEqual(['job.snapshot']);
    expect((await follow(url, job, first.lastId())).response.status).toBe(204);
    await retry(job, 2);
    const further = await follow(url, job, first.lastId());
    await waitFor('the further run', () => types(further).includes('job.snapshot'));
    await end(job, 2);
    await waitFor('its end', () => further.over() === 'ended');
    expect(further.events.at(-1)).toMatchObject({ type: 'job.completed', run: 2 });
    expect((await follow(url, job, further.lastId())).response.status).toBe(204);
  }
});

test('a stream waits for an end that is in the record and not yet in the log', async () => {
  const { url } = await world.node();
  const job = await world.job('ann');
  await world.append('ann', job, progress(1));
  const first = await follow(url, job);
  await waitFor('the log', () => first.events.length === 1);
  await world.queue.client.hset(keys.job('ann', job), { state: 'completed' });
  const resumed = await follow(url, job, first.lastId());
  expect(resumed.response.status).toBe(200);
  await end(job);
  for (const stream of [first, resumed]) await waitFor('the end', () => stream.over() === 'ended');
  expect(types(resumed)).toEqual(['job.completed']);
});

test('a lost log is reported by a snapshot, which ends the stream when the job has ended', async () => {
  const { url } = await world.node();
  const [open, done] = [await world.job('ann', { state: 'active' }), await world.job('ann')];
  await world.append('ann', open, progress(1));
  await world.append('ann', done, progress(1));
  const live = await follow(url, open);
  await waitFor('the log', () => live.events.length === 1);
  await end(done);
  await world.realtime.client.flushall();

  for (const lastEventId of [undefined, '9999999999999-0']) {
    const ended = await follow(url, done, lastEventId);
    await waitFor('the end', () => ended.over() === 'ended');
    expect(ended.events).toMatchObject([{ type: 'job.snapshot', data: { id: done, state: 'completed' } }]);
  }
  await waitFor('the snapshot', () => types(live).includes('job.snapshot'));
  await end(open);
  await waitFor('the end', () => live.over() === 'ended');
  expect(types(live)).toEqual(['job.progress', 'job.snapshot', 'job.completed']);
});

test('an end that was sent is not sent again after the log was lost', async () => {
  const { url } = await world.node();
  const job = await world.job('ann', { state: 'active' });
  await world.append('ann', job, progress(1));
  const stream = await follow(url, job);
  await waitFor('the log', () => stream.events.length === 1);
  // While Redis is away it is unknown whether this is the latest run: the stream stays open.
  await world.queue.client.hset(keys.job('ann', job), { state: 'completed', run: 1 });
  await world.queue.kill();
  const event = storedEvent('job.completed', { jobId: job });
  const publish = () =>
    appendEvents(world.realtime.client, { userId: 'ann', room: `job:${job}` }, [{ event, token: 'end:1' }]);
  await publish();
  await waitFor('the end', () => types(stream).at(-1) === 'job.completed');
  await world.realtime.client.flushall();
  await world.queue.restart();
  await waitFor('the node to be ready', async () => (await fetch(`${url}/health/ready`)).ok);
  await publish();
  const witness = await follow(url, job);
  await waitFor('a new stream to end', () => witness.over() === 'ended');
  await retry(job, 2);
  await end(job, 2);
  await waitFor('the stream to end', () => stream.over() === 'ended');
  expect(types(stream)).toEqual(['job.progress', 'job.completed', 'job.completed']);
  expect(stream.events.map(({ run }) => run)).toEqual([1, 1, 2]);
});

test('a stream of a trimmed log sends a snapshot and then the rest of the log', async () => {
  const { url } = await world.node();
  const job = await world.job('ann', { state: 'active' });
  await world.append('ann', job, ...upTo(10).map(progress));
  await world.realtime.client.xtrim(roomKeys.log('ann', `job:${job}`), 'MAXLEN', 3);
  const stream = await follow(url, job);
  await waitFor('what is left', () => stream.events.length === 4);
  expect(types(stream)[0]).toBe('job.snapshot');
  expect(percents(stream.events)).toEqual([8, 9, 10]);
});

test('a draining node closes its streams and refuses new ones; they resume at another node', async () => {
  const [leaving, staying] = [await world.node(), await world.node()];
  const job = await world.job('ann');
  await world.append('ann', job, progress(1));
  const stream = await follow(leaving.url, job);
  await waitFor('the log', () => stream.events.length === 1);
  leaving.beginDrain();
  const refused = await follow(leaving.url, job);
  expect(refused.response.status).toBe(502);
  expect(await refused.response.json()).toMatchObject({
    statusCode: 502,
    code: 'unavailable',
    retryAfterMs: 1000,
  });
  await leaving.drain();
  await waitFor('the stream to be closed', () => stream.over() === 'ended');
  await world.append('ann', job, progress(2));
  const resumed = await follow(staying.url, job, stream.lastId());
  await waitFor('the new event', () => resumed.events.length === 1);
  expect(percents(resumed.events)).toEqual([2]);
});

test('a ticket that expires closes its stream', async () => {
  const { url } = await world.node();
  const job = await world.job('ann');
  const stream = await openStream(url, await ticket('ann', { expiresIn: 2 }), job);
  expect(stream.response.status).toBe(200);
  await waitFor('the stream to be closed', () => stream.over() === 'ended');
});

test('a client that does not read is disconnected with bounded memory; others receive every event', async () => {
  const { url } = await world.node();
  const job = await world.job('ann');
  const reading = await follow(url, job);
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port) });
  let gone = false;
  socket.on('close', () => {
    gone = true;
  });
  socket.on('error', () => undefined);
  world.onTidy(() => socket.destroy());
  const token = await ticket('ann');
  socket.write(`GET ${jobEventsPath(job)} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer ${token}\r\n\r\n`);
  await waitFor('both streams', async () => (await metric(url, 'warmwind_relay_open_answers')) === 2);
  socket.pause();
  const message = 'x'.repeat(2 ** 19);
  const large = storedEvent('job.progress', { percent: 1, message });
  const sent = 60;
  // No faster than it is read: the log holds 4 MB, and a client that falls further behind gets a snapshot.
  for (let n = 2; n <= sent; n += 2) {
    await world.append('ann', job, large, large);
    await waitFor('the reading client to receive them', () => reading.events.length === n);
  }
  await waitFor('the reading client to have received all', async () => {
    const waiting = await metric(url, 'warmwind_relay_outgoing_bytes{kind="events"}');
    return reading.events.length === sent && waiting < LIMITS.socketBytes + 2 * message.length;
  });
  const interrupted = async () => (await metric(url, 'warmwind_relay_open_answers')) === 1;
  await waitFor('the other client to be disconnected', interrupted, 2 * LIMITS.slowMs);
  expect(await metric(url, 'warmwind_relay_fell_behind_total')).toBeGreaterThanOrEqual(1);
  socket.resume();
  await waitFor('the connection to be gone', () => gone);
  expect(await metric(url, 'warmwind_relay_slow_sockets_closed_total')).toBe(1);
});

test('the streams and sockets of a user are bounded together', async () => {
  const { url } = await world.node();
  const job = await world.job('ann');
  const token = await ticket('ann');
  const statuses = await Promise.all(
    upTo(LIMITS.answersPerSubject + 5).map(async () => {
      const stream = await openStream(url, token, job);
      world.onTidy(stream.close);
      return stream.response.status;
    }),
  );
  expect(statuses.filter((status) => status === 429)).toHaveLength(5);
  const others = LIMITS.connectionsPerUser - LIMITS.answersPerSubject;
  const opened = await Promise.all(upTo(others).map(() => connected(world.client(url, token))));
  expect(opened.filter(Boolean)).toEqual([]);
  const guest = world.client(url, await ticket('ann', { containerId: await world.container('ann') }));
  expect(await connected(guest)).toBeUndefined();
  const socket = world.client(url, token);
  const refusal = await new Promise<Error & { data?: { code: string } }>((resolve) => {
    socket.once('connect_error', resolve);
  });
  expect(refusal.data?.code).toBe('quota_exceeded');
});

test("another user's job, an unknown job and an invalid ticket are refused with the flat error body", async () => {
  const { url } = await world.node();
  const job = await world.job('ann');
  const shared = await world.container('ann');
  const ask = async (path: string, headers: Record<string, string>) => {
    const response = await fetch(`${url}${path}`, { headers });
    const body = (await response.json()) as Record<string, unknown>;
    expect(Object.keys(body)).toEqual(expect.arrayContaining(['statusCode', 'code', 'message', 'requestId']));
    expect(body.requestId).toBe(response.headers.get('x-request-id'));
    return [response.status, body.code];
  };
  const bearer = async (...claims: Parameters<typeof ticket>) => ({
    Authorization: `Bearer ${await ticket(...claims)}`,
  });
  const own = await bearer('ann');
  for (const path of [jobEventsPath(job), `/jobs/${job}/end`]) {
    expect(await ask(path, await bearer('mallory'))).toEqual([404, 'not_found']);
    expect(await ask(path, await bearer('ann', { containerId: shared }))).toEqual([404, 'not_found']);
    expect(await ask(path, await bearer('ann', { aud: 'warmwind' }))).toEqual([401, 'unauthenticated']);
    for (const Authorization of ['', 'Bearer', 'Bearer x', 'Basic x', `Bearer ${'x'.repeat(9000)}`]) {
      expect(await ask(path, { Authorization })).toEqual([401, 'unauthenticated']);
    }
    expect(await ask(path, {})).toEqual([401, 'unauthenticated']);
    expect(await ask(path.replace(job, 'unknown'), own)).toEqual([404, 'not_found']);
    expect(await ask(path.replace(job, '..%2fann'), own)).toEqual([404, 'not_found']);
    expect(await ask(path.replace(job, 'x'.repeat(500)), own)).toEqual([404, 'not_found']);
  }
  for (const id of ['latest', '5', '1-2-3', '-', `${'9'.repeat(40)}-0`, '0x1-0', '1-1\tx']) {
    expect(await ask(jobEventsPath(job), { ...own, 'Last-Event-ID': id })).toEqual([400, 'bad_request']);
  }
  expect(await ask('/nothing', own)).toEqual([404, 'not_found']);
  expect(await metric(url, 'warmwind_relay_open_answers')).toBe(0);
  const head = await fetch(`${url}${jobEventsPath(job)}`, { method: 'HEAD', headers: own });
  expect(head.status).toBe(200);
});

test('while Redis is away a stream is refused as unavailable; it opens when Redis is back', async () => {
  const { url } = await world.node();
  const job = await world.job('ann');
  await world.realtime.kill();
  const refused = await follow(url, job);
  expect(refused.response.status).toBe(503);
  expect(await refused.response.json()).toMatchObject({ code: 'unavailable' });
  await world.realtime.restart();
  await waitFor('a stream', async () => (await follow(url, job)).response.ok);
});
