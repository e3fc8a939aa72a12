import { isTerminalEvent } from '@warmwind/shared/contract/rooms';
import { keys } from '@warmwind/shared/engine/keys';
import { Publisher } from '@warmwind/shared/engine/node/publisher';
import { Records } from '@warmwind/shared/engine/node/records';
import { createLog } from '@warmwind/shared/runtime/node/log';
import { connectQueueing, disconnect } from '@warmwind/shared/runtime/node/redis';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { loop } from '../loop.ts';
import { createLine, type Line } from '../testing/line.ts';
import type { Submitted } from '../testing/submissions.ts';
import { publishUnpublished } from './unpublished.ts';

const WAIT_MS = 200;
const log = createLog('test');
log.level = 'silent';
let line: Line;
const closing: (() => Promise<unknown>)[] = [];

beforeEach(async () => {
  line = await createLine();
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
  await line.stop();
});

/** The records and connection of a separate process; `die` drops its buffered events. */
function process() {
  const events = connectQueueing(line.realtime.url, 'test', log);
  const publisher = new Publisher(events, log, () => {}, WAIT_MS);
  const die = async () => {
    publisher.close();
    await disconnect(events);
  };
  return { records: new Records(line.redis, publisher), die };
}

function leader() {
  const { records, die } = process();
  const over = new AbortController();
  const { signal } = over;
  const done = loop('unpublished ends', log, signal, async () => {
    await publishUnpublished({ records, log, afterMs: 0 }, signal);
    return 100;
  });
  closing.push(async () => {
    over.abort();
    await done;
    await die();
  });
}

const ends = async ({ userId }: Submitted, room: string) => {
  const events = await line.events(userId, room).catch(() => []);
  return events.filter(({ type }) => isTerminalEvent(type)).map(({ type, run }) => `${type} ${run ?? ''}`);
};
const noted = () => line.redis.zcard(keys.unpublishedEnds());

test('an unpublished end of an earlier run reaches its room with the end of a later run', async () => {
  const first = process();
  const job = await line.infer();
  const claim = await first.records.jobs.claim(job.data, 0);
  expect(claim).toMatchObject({ verdict: 'ok' });
  await line.realtime.kill();
  const error = { code: 'model_missing', message: 'No server has this model.', retryable: false };
  await first.records.jobs.end(job.data, { state: 'failed', error }, 1, 1);
  await first.die();
  await line.retry(job, 'inference');
  await line.cancel(job);
  await line.realtime.restart();

  const second = process();
  closing.push(second.die);
  await second.records.jobs.republishEnds({ ...job.data, run: 2 });
  const room = `job:${job.jobId}`;
  await waitFor('both ends', async () => (await ends(job, room)).length >= 2);
  expect((await ends(job, room)).toSorted()).toEqual(['job.cancelled 2', 'job.failed 1']);
});

test('an unpublished end of a job reaches its room although its process is gone', async () => {
  const first = process();
  const job = await line.infer();
  await first.records.jobs.claim(job.data, 0);
  await line.realtime.kill();
  await first.records.jobs.end(job.data, { state: 'completed', result: { text: 'hello' } }, 1, 1);
  await first.die();
  await line.realtime.restart();
  leader();
  await waitFor('the end', async () => (await ends(job, `job:${job.jobId}`)).length > 0);
  expect(await ends(job, `job:${job.jobId}`)).toEqual(['job.completed 1']);
  await waitFor('no note to be left', async () => (await noted()) === 0);
});

test('an unpublished end of a desktop reaches its room although its process is gone', async () => {
  const first = process();
  const job = await line.startDesktop({}, undefined, false);
  await line.realtime.kill();
  await first.records.containers.change(job, { to: 'lost', fence: 0 });
  await first.die();
  await line.realtime.restart();
  leader();
  const room = `container:${job.containerId}`;
  await waitFor('the end', async () => (await line.events(job.userId, room).catch(() => [])).length > 0);
  expect((await line.events(job.userId, room)).map(({ type }) => type)).toEqual(['container.lost']);
  await waitFor('no note to be left', async () => (await noted()) === 0);
});

test('the end of a desktop is noted before it is published', async () => {
  const { records, die } = process();
  closing.push(die);
  const job = await line.startDesktop({}, undefined, false);
  await line.realtime.freeze();
  const change = records.containers.change(job, { to: 'lost', fence: 0 });
  await waitFor('the end to be recorded', async () => (await line.container(job))?.state === 'lost');
  expect(await noted()).toBe(1);
  line.realtime.thaw();
  expect(await change).toBe('ok');
});

test('an unreadable record does not block the ends of others', async () => {
  const first = process();
  const job = await line.infer();
  await first.records.jobs.claim(job.data, 0);
  await line.redis.set(keys.job('eve', 'broken'), 'not a hash');
  await first.records.unpublished.add({ kind: 'job', userId: 'eve', id: 'broken' });
  await line.realtime.kill();
  await first.records.jobs.end(job.data, { state: 'completed' }, 1, 1);
  await first.die();
  await line.realtime.restart();
  leader();
  await waitFor('the end', async () => (await ends(job, `job:${job.jobId}`)).length > 0);
});
