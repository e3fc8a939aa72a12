import { Job } from '@warmwind/shared/contract/jobs';
import { jobEndPath } from '@warmwind/shared/contract/tickets';
import { keys } from '@warmwind/shared/engine/keys';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { storedEvent } from '../../infra/quality/testing/events.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { metric, ticket, World } from '../testing/world.ts';

let world: World;

beforeAll(async () => {
  world = await World.start();
});
afterEach(() => world.tidy());
afterAll(() => world?.stop());

const ask = async (url: string, job: string, waitMs: number, signal: AbortSignal | null = null) =>
  fetch(`${url}${jobEndPath(job, waitMs)}`, {
    headers: { Authorization: `Bearer ${await ticket('ann')}` },
    signal,
  });
const ended = storedEvent('job.failed');
const waiting = (url: string, count: number) =>
  waitFor('the requests to wait', async () => (await metric(url, 'warmwind_relay_open_answers')) === count);

test('a waiting request receives the job by its record once it has ended', async () => {
  const { url } = await world.node();
  const job = await world.job('ann');
  const asked = ask(url, job, 10_000);
  await waiting(url, 1);
  const error = JSON.stringify({ code: 'x', message: 'y', retryable: false });
  await world.queue.client.hset(keys.job('ann', job), { state: 'failed', error });
  await world.append('ann', job, ended);
  const answer = await asked;
  expect(answer.status).toBe(200);
  expect(Job.parse(await answer.json())).toMatchObject({ id: job, state: 'failed', error: { code: 'x' } });
  expect((await ask(url, job, 0)).status).toBe(200);
  expect(await metric(url, 'warmwind_relay_rooms')).toBe(0);
});

test('the end of a job without an event is found in its record', async () => {
  const { url } = await world.node();
  const job = await world.job('ann');
  await world.realtime.kill();
  try {
    const asked = ask(url, job, 10_000);
    await waiting(url, 1);
    await world.queue.client.hset(keys.job('ann', job), { state: 'completed', result: '{"a":1}' });
    expect(await (await asked).json()).toMatchObject({ state: 'completed', result: { a: 1 } });
  } finally {
    await world.realtime.restart();
  }
});

test('a job that has not ended in time is a 204; the end of a retried run does not count', async () => {
  const { url } = await world.node();
  const job = await world.job('ann', { run: 2 });
  const asked = ask(url, job, 400);
  await waiting(url, 1);
  await world.append('ann', job, ended);
  expect((await asked).status).toBe(204);
});

test.each(['-1', '1.5', 'x', '10001', '99999999'])('waitMs=%s is a bad request', async (waitMs) => {
  const { url } = await world.node();
  const job = await world.job('ann');
  const headers = { Authorization: `Bearer ${await ticket('ann')}` };
  const answer = await fetch(`${url}/jobs/${job}/end?waitMs=${waitMs}`, { headers });
  expect(answer.status).toBe(400);
  expect(await answer.json()).toMatchObject({ code: 'bad_request', issues: [{ path: 'waitMs' }] });
});

test('a request stops waiting when its client leaves or its node drains', async () => {
  const node = await world.node();
  const job = await world.job('ann');
  const leaving = new AbortController();
  const left = ask(node.url, job, 10_000, leaving.signal).catch(() => 'left');
  const stays = ask(node.url, job, 10_000);
  await waiting(node.url, 2);
  leaving.abort();
  await waiting(node.url, 1);
  await node.drain();
  expect((await stays).status).toBe(204);
  expect(await left).toBe('left');
});
