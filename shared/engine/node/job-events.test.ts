import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startRedis, type TestRedis } from '../../../infra/quality/testing/redis.ts';
import { ENDED_CONTAINER_STATES } from '../../contract/containers.ts';
import { StoredEvent } from '../../contract/events.ts';
import { createLog } from '../../runtime/node/log.ts';
import { roomKeys } from '../keys.ts';
import { type ContainerUpdate, JobEvents } from './job-events.ts';
import { Publisher } from './publisher.ts';

let redis: TestRedis;
let publisher: Publisher;
let jobEvents: JobEvents;

beforeAll(async () => {
  redis = await startRedis();
  publisher = new Publisher(redis.client, createLog('test'));
  jobEvents = new JobEvents(publisher);
});
afterAll(async () => {
  publisher?.close();
  await redis?.stop();
});

const error = { code: 'image_missing', message: 'Pull it.', retryable: false };

/** The tokens and the events of a container's room after these updates. */
async function roomAfter(...updates: ContainerUpdate[]) {
  const ref = { userId: 'ada', containerId: randomUUID() };
  for (const each of updates) await jobEvents.container(ref, 3, each);
  const room = `container:${ref.containerId}` as const;
  const rows = await redis.client.xrange(roomKeys.log(ref.userId, room), '-', '+');
  const meta = Object.keys(await redis.client.hgetall(roomKeys.meta(ref.userId, room)));
  return {
    events: rows.map(([, fields]) => StoredEvent.parse(JSON.parse(fields[3] ?? ''))),
    tokens: meta.flatMap((field) => (field.startsWith('once:') ? [field.slice('once:'.length)] : [])),
  };
}

test('only stopped, failed and lost are recorded as the end of a container', async () => {
  const running = { to: 'running', expiresAt: 9, width: 800, height: 600 } as const;
  const open: ContainerUpdate[] = [
    running,
    { to: 'paused', by: 'request', at: 1 },
    { to: 'resumed', at: 2 },
    { to: 'paused', by: 'request', at: 3 },
    { to: 'stopping', reason: 'idle' },
    { to: 'requested' },
  ];
  const { events, tokens } = await roomAfter(...open);
  expect(events.map(({ type }) => type)).toEqual([
    'container.started',
    'container.paused',
    'container.resumed',
    'container.paused',
    'container.stopping',
  ]);
  expect(tokens.filter((token) => token.startsWith('end:'))).toEqual([]);
  for (const to of ENDED_CONTAINER_STATES) {
    const over = await roomAfter(running, to === 'failed' ? { to, error } : { to });
    expect(over.events.at(-1)?.type).toBe(`container.${to}`);
    expect(over.tokens).toContain('end:container');
  }
});

test('a container that was paused ends with one end event', async () => {
  const { events } = await roomAfter(
    { to: 'paused', by: 'request', at: 1 },
    { to: 'failed', error },
    { to: 'lost' },
  );
  expect(events.map(({ type }) => type)).toEqual(['container.paused', 'container.failed']);
});

test('every event of a job is in its log with the data of its type', async () => {
  const kind = 'inference' as const;
  const ref = { userId: 'ada', jobId: randomUUID(), run: 1, kind, containerId: '' };
  await jobEvents.active(ref, 1, 1);
  await jobEvents.progress(ref, 1, 1, { percent: 40, message: 'reads' });
  await jobEvents.output(ref, 1, 2, 'Hello', 1);
  await jobEvents.retrying(ref, 1, { error, attemptsMade: 1, delayMs: 5 });
  await jobEvents.ended(ref, { state: 'timed_out', error }, 1);
  const rows = await redis.client.xrange(roomKeys.log('ada', `job:${ref.jobId}`), '-', '+');
  const subject = { jobId: ref.jobId, kind, containerId: '' };
  expect(rows.map(([, fields]) => StoredEvent.parse(JSON.parse(fields[3] ?? '')))).toEqual([
    { type: 'job.queued', run: 1, time: expect.any(String), data: subject },
    { type: 'job.active', run: 1, time: expect.any(String), data: { ...subject, attempt: 1 } },
    {
      type: 'job.progress',
      run: 1,
      time: expect.any(String),
      data: { ...subject, percent: 40, message: 'reads' },
    },
    { type: 'job.output', run: 1, time: expect.any(String), data: { ...subject, text: 'Hello', attempt: 1 } },
    {
      type: 'job.retrying',
      run: 1,
      time: expect.any(String),
      data: { ...subject, error, attemptsMade: 1, delayMs: 5 },
    },
    { type: 'job.timed_out', run: 1, time: expect.any(String), data: { ...subject, error } },
  ]);
});
