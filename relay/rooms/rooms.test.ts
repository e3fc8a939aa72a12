import { setTimeout as sleep } from 'node:timers/promises';
import type { Envelope, Snapshot } from '@warmwind/shared/contract/rooms';
import { keys, roomKeys } from '@warmwind/shared/engine/keys';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { storedEvent } from '../../infra/quality/testing/events.ts';
import { plannedRandom } from '../../infra/quality/testing/random.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { LIMITS } from '../limits.ts';
import {
  collect,
  connected,
  metric,
  percents,
  progress,
  subscribe,
  ticket,
  upTo,
  World,
} from '../testing/world.ts';

const isSnapshot = (event: Envelope): event is Snapshot => event.type.endsWith('.snapshot');

let world: World;

beforeAll(async () => {
  world = await World.start();
});
afterEach(() => world.tidy());
afterAll(() => world?.stop());

/** Starts a node, a job of `ann` that enters `state`, and a socket that is live in its room. */
async function watching(state = 'queued') {
  const node = await world.node();
  const job = await world.job('ann');
  const room = `job:${job}`;
  const socket = world.client(node.url, await ticket('ann'));
  const events = collect(socket);
  await connected(socket);
  expect(await subscribe(socket, room)).toEqual({ ok: true, truncated: false });
  await world.queue.client.hset(keys.job('ann', job), { state });
  const log = roomKeys.log('ann', room);
  const types = () => events.map(({ type }) => type);
  return { node, job, room, socket, events, log, types };
}

const catchUps = (url: string, cause: string) =>
  metric(url, `warmwind_relay_catch_ups_total{cause="${cause}"}`);

test('an event whose message was lost is delivered by the tail check', async () => {
  const { node, job, events, log } = await watching();
  await world.append('ann', job, progress(1));
  await world.realtime.client.xadd(log, '*', 'n', 2, 'e', JSON.stringify(progress(2)));
  await waitFor('both events', () => events.length === 2);
  expect(percents(events)).toEqual([1, 2]);
  expect(await catchUps(node.url, 'tail')).toBe(1);
});

test('a gap between messages is filled before the newer event is delivered', async () => {
  const { node, job, events, log } = await watching();
  await world.append('ann', job, progress(1));
  await waitFor('the first event', () => events.length === 1);
  await world.realtime.client.xadd(log, '*', 'n', 2, 'e', JSON.stringify(progress(2)));
  await world.append('ann', job, progress(3));
  await waitFor('all events', () => events.length === 3);
  expect(percents(events)).toEqual([1, 2, 3]);
  expect(await catchUps(node.url, 'gap')).toBe(1);
});

test('a subscriber connection that breaks loses no event', async () => {
  const { node, job, events } = await watching();
  for (const n of upTo(60)) {
    if (n % 20 === 0) await world.realtime.client.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await world.append('ann', job, progress(n));
  }
  await waitFor('all events', () => events.length >= 60);
  expect(percents(events)).toEqual(upTo(60));
  expect(await catchUps(node.url, 'reconnect')).toBeGreaterThan(0);
});

test('a client that resumes after a trimmed event gets `truncated`, a snapshot and the rest', async () => {
  const { node, job, room, events, log } = await watching('active');
  await world.append('ann', job, ...upTo(10).map(progress));
  await waitFor('all events', () => events.length === 10);
  await world.realtime.client.xtrim(log, 'MAXLEN', 4);

  for (const after of [events[2]?.id, undefined]) {
    const late = world.client(node.url, await ticket('ann'));
    const received = collect(late);
    await connected(late);
    expect(await subscribe(late, room, after)).toEqual({ ok: true, truncated: true });
    await waitFor('what is left', () => received.length === 5);
    expect(received[0]).toMatchObject({
      type: 'job.snapshot',
      room,
      run: 1,
      data: { jobId: job, state: 'active' },
    });
    expect(percents(received)).toEqual([7, 8, 9, 10]);
  }
  const kept = world.client(node.url, await ticket('ann'));
  const received = collect(kept);
  await connected(kept);
  expect(await subscribe(kept, room, events[6]?.id)).toEqual({ ok: true, truncated: false });
  await waitFor('what is left', () => received.length === 3);
  expect(percents(received)).toEqual([8, 9, 10]);
});

test('a client that resumes in a log that was trimmed by bytes gets a snapshot and then the rest', async () => {
  const { node, job, room, events } = await watching('active');
  const large = (n: number) => storedEvent('job.progress', { percent: n, message: 'x'.repeat(96 * 1024) });
  for (const n of upTo(60)) await world.append('ann', job, large(n));
  await waitFor('all events', () => events.length === 60);
  const late = world.client(node.url, await ticket('ann'));
  const received = collect(late);
  await connected(late);
  expect(await subscribe(late, room, events[2]?.id)).toEqual({ ok: true, truncated: true });
  await waitFor('the newest event', () => percents(received).at(-1) === 60);
  expect(received[0]).toMatchObject({ type: 'job.snapshot', data: { jobId: job } });
  const left = percents(received);
  expect(left.length).toBeLessThan(57);
  expect(left).toEqual(upTo(60).slice(-left.length));
});

test('when the realtime Redis loses its data, watchers get a snapshot and every new event', async () => {
  const { job, events, types } = await watching('active');
  await world.append('ann', job, progress(1), progress(2));
  await waitFor('the events', () => events.length === 2);
  await world.realtime.client.flushall();
  await world.append('ann', job, progress(3));
  await waitFor('the new event', () => events.length === 4);
  expect(types()).toEqual(['job.progress', 'job.progress', 'job.snapshot', 'job.progress']);
  await world.append('ann', job, progress(4));
  await waitFor('the next event', () => events.length === 5);
  expect(percents(events)).toEqual([1, 2, 3, 4]);
});

test('a lost log that gets no further event is reported by a snapshot too', async () => {
  const { job, room, node, events, types } = await watching('active');
  await world.append('ann', job, progress(1));
  await waitFor('the event', () => events.length === 1);
  await world.realtime.client.flushall();
  await waitFor('the snapshot', () => types().includes('job.snapshot'));

  const late = world.client(node.url, await ticket('ann'));
  const received = collect(late);
  await connected(late);
  expect(await subscribe(late, room)).toEqual({ ok: true, truncated: true });
  await waitFor('the snapshot', () => received.length === 1);
  expect(received[0]).toMatchObject({ type: 'job.snapshot', data: { state: 'active' } });
});

test('sockets stay connected while the realtime Redis is killed and returns empty', async () => {
  const { node, job, socket, events, types } = await watching('active');
  await world.append('ann', job, progress(1));
  await waitFor('the event', () => events.length === 1);
  await world.realtime.kill();
  await waitFor('ready to fail', async () => (await fetch(`${node.url}/health/ready`)).status === 503);
  const other = `job:${await world.job('ann')}`;
  expect(await subscribe(socket, other)).toMatchObject({ ok: false, code: 'unavailable' });
  await world.realtime.restart();
  await waitFor('ready to recover', async () => (await fetch(`${node.url}/health/ready`)).ok);
  await world.append('ann', job, progress(2));
  await waitFor('the new event', () => percents(events).length === 2);
  expect(types()).toEqual(['job.progress', 'job.snapshot', 'job.progress']);
  expect(await subscribe(socket, other)).toEqual({ ok: true, truncated: false });
  expect(socket.connected).toBe(true);
});

test('a log that begins after the start of its job is truncated for a new subscriber', async () => {
  const node = await world.node();
  const job = await world.job('ann', { state: 'active', startedAt: Date.now() - 60_000 });
  await world.append('ann', job, progress(80));
  const socket = world.client(node.url, await ticket('ann'));
  const events = collect(socket);
  await connected(socket);
  expect(await subscribe(socket, `job:${job}`)).toEqual({ ok: true, truncated: true });
  await waitFor('snapshot and event', () => events.length === 2);
  expect(events.map(({ type }) => type)).toEqual(['job.snapshot', 'job.progress']);
});

test('a second subscription to a room replaces the first and replays from its own position', async () => {
  const { job, room, socket, events } = await watching();
  await world.append('ann', job, progress(1), progress(2));
  await waitFor('the events', () => events.length === 2);
  expect(await subscribe(socket, room, events[0]?.id)).toEqual({ ok: true, truncated: false });
  await world.append('ann', job, progress(3));
  await waitFor('the replay and the new event', () => events.length === 4);
  expect(percents(events)).toEqual([1, 2, 2, 3]);
});

test("a user's room whose log was lost opens with snapshots of the open jobs and containers", async () => {
  const node = await world.node();
  const job = await world.job('cleo', { state: 'active' });
  const container = await world.container('cleo', { state: 'running' });
  const socket = world.client(node.url, await ticket('cleo'));
  const events = collect(socket);
  await connected(socket);
  expect(await subscribe(socket, 'user:cleo')).toEqual({ ok: true, truncated: true });
  await waitFor('both snapshots', () => events.length === 2);
  expect(events[0]).toMatchObject({
    type: 'container.snapshot',
    data: { containerId: container, state: 'running' },
  });
  expect(events[1]).toMatchObject({ type: 'job.snapshot', room: 'user:cleo', data: { jobId: job } });
  await world.append('cleo', job, progress(5));
  await waitFor('the event', () => percents(events).length === 1);
});

test("after the log of a user's room was lost, its snapshots include what has ended meanwhile", async () => {
  const node = await world.node();
  const [job, container] = [
    await world.job('eve', { state: 'active' }),
    await world.container('eve', { state: 'running' }),
  ];
  await world.append('eve', job, progress(1));
  const early = world.client(node.url, await ticket('eve'));
  const seen = collect(early);
  await connected(early);
  await subscribe(early, 'user:eve');
  await waitFor('the event', () => seen.length === 1);
  early.disconnect();

  await world.queue.client.hset(keys.job('eve', job), { state: 'completed' });
  await world.queue.client.hset(keys.container('eve', container), { state: 'stopped' });
  await world.queue.client.del(keys.openJobs('eve'), keys.openContainers('eve'));
  await world.realtime.client.flushall();
  for (const after of [seen[0]?.id, undefined]) {
    const late = world.client(node.url, await ticket('eve'));
    const events = collect(late);
    await connected(late);
    expect(await subscribe(late, 'user:eve', after)).toEqual({ ok: true, truncated: true });
    await waitFor('both snapshots', () => events.length === 2);
    expect(events.filter(isSnapshot).map(({ data }) => [data.id, data.state])).toEqual([
      [container, 'stopped'],
      [job, 'completed'],
    ]);
  }
});

test("a user's log that begins after the creation of a known job is truncated for a new subscriber", async () => {
  const node = await world.node();
  const old = await world.job('finn', { state: 'completed', createdAt: Date.now() - 60_000 });
  const job = await world.job('finn', { state: 'active' });
  await world.append('finn', job, progress(1));
  const socket = world.client(node.url, await ticket('finn'));
  const events = collect(socket);
  await connected(socket);
  expect(await subscribe(socket, 'user:finn')).toEqual({ ok: true, truncated: true });
  await waitFor('snapshots and event', () => events.length === 3);
  expect(events.map((event) => [event.type, isSnapshot(event) && event.data.id])).toEqual([
    ['job.snapshot', job],
    ['job.snapshot', old],
    ['job.progress', false],
  ]);
});

test("a user's snapshots are bounded, and include open jobs before newer ended ones", async () => {
  const node = await world.node();
  const open = await world.job('gus', { state: 'active', createdAt: Date.now() - 60_000 });
  for (const _ of upTo(LIMITS.snapshotSubjects + 5)) await world.job('gus', { state: 'completed' });
  const socket = world.client(node.url, await ticket('gus'));
  const events = collect(socket);
  await connected(socket);
  expect(await subscribe(socket, 'user:gus')).toEqual({ ok: true, truncated: true });
  const marker = await world.job('gus');
  await world.append('gus', marker, progress(1));
  await waitFor('the event that follows', () => percents(events).length === 1);
  const jobs = events.filter(isSnapshot).map(({ data }) => data.id);
  expect(jobs[0]).toBe(open);
  expect(new Set(jobs).size).toBe(LIMITS.snapshotSubjects);
  expect(jobs.length).toBe(LIMITS.snapshotSubjects);
});

test('a job whose record has expired does not make the log truncated', async () => {
  const node = await world.node();
  const old = await world.job('hal', { state: 'completed', createdAt: Date.now() - 60_000 });
  await world.queue.client.del(keys.job('hal', old));
  const socket = world.client(node.url, await ticket('hal'));
  await connected(socket);
  expect(await subscribe(socket, 'user:hal')).toEqual({ ok: true, truncated: false });
});

test('the empty log of a new job is not truncated', async () => {
  const node = await world.node();
  const socket = world.client(node.url, await ticket('dan'));
  await connected(socket);
  const job = await world.job('dan');
  expect(await subscribe(socket, `job:${job}`)).toEqual({ ok: true, truncated: false });
  expect(await subscribe(socket, 'user:dan')).toEqual({ ok: true, truncated: false });
});

test('sockets that join and leave at once leave no room behind and interrupt no other socket', async () => {
  const node = await world.node();
  const job = await world.job('ann');
  const room = `job:${job}`;
  const sockets = await Promise.all(upTo(6).map(async () => world.client(node.url, await ticket('ann'))));
  await Promise.all(sockets.map(connected));
  const received = sockets.map(collect);
  const random = plannedRandom();
  for (let round = 0; round < 15; round++) {
    await Promise.all(
      sockets.map(async (socket) => {
        const joining = subscribe(socket, room);
        if (random.chance(0.5)) await sleep(random.next() * 4);
        socket.emit('unsubscribe', { room });
        await joining;
      }),
    );
  }
  await waitFor('the room to be closed', async () => (await metric(node.url, 'warmwind_relay_rooms')) === 0);
  const channel = roomKeys.channel('ann', room);
  await waitFor('its channel to be left', async () => {
    const [, count] = (await world.realtime.client.call('PUBSUB', 'SHARDNUMSUB', channel)) as [
      string,
      number,
    ];
    return count === 0;
  });
  const [stays, leaves] = sockets;
  if (!stays || !leaves) throw new Error('no sockets');
  const left = leaves.emitWithAck('unsubscribe', { room });
  expect(await Promise.all([subscribe(stays, room), left])).toEqual([
    { ok: true, truncated: false },
    { ok: true },
  ]);
  await world.append('ann', job, progress(1));
  await waitFor('the event', () => received[0]?.length === 1);
  expect(received.slice(1).flat()).toEqual([]);
});

test('a long log is replayed completely in a busy room while it grows', async () => {
  const node = await world.node();
  const job = await world.job('ann');
  for (let n = 0; n < 2000; n += 100) {
    await world.append('ann', job, ...upTo(100).map((i) => progress(n + i)));
  }
  const sockets = await Promise.all(upTo(3).map(async () => world.client(node.url, await ticket('ann'))));
  const received = sockets.map(collect);
  await Promise.all(sockets.map(connected));
  const joining = Promise.all(sockets.map((socket) => subscribe(socket, `job:${job}`)));
  for (let n = 2001; n <= 2500; n++) await world.append('ann', job, progress(n));
  await joining;
  for (const events of received) {
    await waitFor('all events', () => events.length >= 2500);
    expect(percents(events)).toEqual(upTo(2500));
  }
});

test('while the queue Redis is away new subscriptions are unavailable and live ones continue', async () => {
  const { job, socket, events } = await watching();
  await world.queue.kill();
  const room = 'job:00000000-0000-4000-8000-000000000000';
  expect(await subscribe(socket, room)).toMatchObject({ ok: false, code: 'unavailable' });
  await world.append('ann', job, progress(1));
  await waitFor('the event', () => events.length === 1);
  await world.queue.restart();
  await waitFor('subscriptions to work again', async () => (await subscribe(socket, `job:${job}`)).ok);
});
