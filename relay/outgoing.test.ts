import { EventEmitter } from 'node:events';
import { LOG_MAX_BYTES } from '@warmwind/shared/contract/rooms';
import { FairGate } from '@warmwind/shared/runtime/node/fair-gate';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { storedEvent } from '../infra/quality/testing/events.ts';
import { waitFor } from '../infra/quality/testing/wait.ts';
import { LIMITS } from './limits.ts';
import { Metrics } from './metrics.ts';
import { Outgoing } from './outgoing.ts';
import { openStream } from './testing/stream.ts';
import { collect, connected, percents, progress, subscribe, ticket, upTo, World } from './testing/world.ts';

const EVENT_BYTES = 161 * 1024;
/** The number of large events that the log of a room holds. */
const EVENTS = Math.floor(LOG_MAX_BYTES / (EVENT_BYTES + 1024));
/** Rooms that together hold more bytes than the kernel buffers for a client that does not read. */
const ROOMS = 6;
const MB = 2 ** 20;
let world: World;

beforeAll(async () => {
  world = await World.start();
});
afterEach(() => world.tidy());
afterAll(() => world?.stop());

/**
 * Connects a client that stops reading once its first subscription is accepted, until `ws` is resumed.
 * @returns its socket, and the received percents by room
 */
async function connectPaused(url: string, token: string, rooms: string[]) {
  const ws = new WebSocket(`${url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`);
  world.onTidy(() => ws.terminate());
  ws.on('error', () => undefined);
  const packets = new EventEmitter();
  const seen: Record<string, unknown[]> = Object.fromEntries(rooms.map((room) => [room, []]));
  ws.on('message', (data) => {
    const text = data.toString();
    if (text.startsWith('42')) {
      const [, event] = JSON.parse(text.slice(2));
      seen[event.room]?.push(event.data.percent);
    } else packets.emit(text.slice(0, 2));
  });
  const next = (head: string) => new Promise((resolve) => packets.once(head, resolve));
  await new Promise((resolve) => ws.once('open', resolve));
  const opened = next('40');
  ws.send(`40${JSON.stringify({ token })}`);
  await opened;
  packets.once('43', () => ws.pause());
  const accepted = next('43');
  for (const [n, room] of rooms.entries()) ws.send(`42${n}${JSON.stringify(['subscribe', { room }])}`);
  await accepted;
  return { ws, seen };
}

const large = (percent: number) => storedEvent('job.progress', { percent, message: 'x'.repeat(EVENT_BYTES) });

test('clients that do not read keep a node within its memory bound, and others receive every event', async () => {
  const node = await world.process();
  const jobs = await Promise.all(upTo(ROOMS).map(() => world.job('ann')));
  const half = Math.floor(EVENTS / 2);
  for (const job of jobs) for (const n of upTo(half)) await world.append('ann', job, large(n));
  const before = await node.rss();
  const token = await ticket('ann');
  const rooms = jobs.map((each) => `job:${each}`);
  for (const _ of upTo(30)) await connectPaused(node.url, token, rooms);
  const [job = ''] = jobs;
  const sockets = await Promise.all(
    ['ann', 'bob'].map(async (user) => {
      const own = user === 'ann' ? job : await world.job(user);
      const socket = world.client(node.url, await ticket(user));
      const events = collect(socket);
      await connected(socket);
      expect(await subscribe(socket, `job:${own}`)).toMatchObject({ ok: true });
      return { user, own, events };
    }),
  );
  let most = 0;
  const look = async () => {
    most = Math.max(most, (await node.rss()) - before);
  };
  for (const n of upTo(half)) {
    await world.append('bob', sockets[1]?.own ?? '', progress(n));
    for (const each of jobs) await world.append('ann', each, large(half + n));
    await look();
  }
  for (const { user, events } of sockets) {
    const all = upTo(user === 'ann' ? 2 * half : half);
    await waitFor(`all events of ${user}`, async () => {
      await look();
      return events.length >= all.length;
    });
    expect(percents(events)).toEqual(all);
  }
  console.log(`grew by ${Math.round(most / MB)} MB`);
  expect(most).toBeLessThan(400 * MB);
});

test('a client that pauses its reading receives every event once and in order when it reads again', async () => {
  const { url } = await world.node();
  const jobs = await Promise.all(upTo(ROOMS).map(() => world.job('ann')));
  const half = Math.floor(EVENTS / 2);
  for (const job of jobs) for (const n of upTo(half)) await world.append('ann', job, large(n));
  const { ws, seen } = await connectPaused(
    url,
    await ticket('ann'),
    jobs.map((job) => `job:${job}`),
  );
  for (const job of jobs) for (const n of upTo(half)) await world.append('ann', job, large(half + n));
  ws.resume();
  const all = upTo(2 * half);
  await waitFor('all events', () => Object.values(seen).every((percents) => percents.length >= all.length));
  for (const percents of Object.values(seen)) expect(percents).toEqual(all);
});

test('a stream receives all of a log that is larger than the bound on unsent bytes', async () => {
  const { url } = await world.node();
  const job = await world.job('ann');
  for (const n of upTo(EVENTS)) await world.append('ann', job, large(n));
  const stream = await openStream(url, await ticket('ann'), job);
  world.onTidy(stream.close);
  await waitFor('all events', () => stream.events.length >= EVENTS);
  expect(percents(stream.events)).toEqual(upTo(EVENTS));
});

test('unsent bytes are bounded for each subject, and the bound of the node is shared between subjects', () => {
  const outgoing = new Outgoing(new Metrics());
  world.onTidy(() => outgoing.close());
  outgoing.addEvents('ann', LIMITS.subjectEventBytes);
  expect(outgoing.allowsEvents('ann')).toBe(false);
  expect(outgoing.allowsEvents('bob')).toBe(true);
  const users = upTo(60).map((n) => `user-${n}`);
  for (const user of users) outgoing.addEvents(user, LIMITS.nodeEventBytes / 60);
  expect(users.some((user) => outgoing.allowsEvents(user))).toBe(false);
  expect(outgoing.allowsEvents('bob')).toBe(true);
});

test('a subject with many tasks delays only its own tasks', async () => {
  const gate = new FairGate({ atOnce: 2, perSubject: 1, waiting: 50 });
  const order: string[] = [];
  const release: (() => void)[] = [];
  const start = (subject: string, n: number) =>
    gate.run(subject, () => {
      order.push(`${subject}${n}`);
      return new Promise<void>((resolve) => release.push(resolve));
    });
  const ann = upTo(50).map((n) => start('ann', n));
  const others = ['bob', 'cid'].flatMap((user) => upTo(2).map((n) => start(user, n)));
  await waitFor('the first two', () => order.length === 2);
  expect(order).toEqual(['ann1', 'bob1']);
  await waitFor('all tasks', async () => {
    release.shift()?.();
    return order.length === 54;
  });
  for (const done of release) done();
  await Promise.all([...ann, ...others]);
  expect(order.indexOf('cid2')).toBeLessThan(8);
  await expect(Promise.all(upTo(60).map(() => gate.run('dan', async () => 0)))).rejects.toMatchObject({
    code: 'rate_limited',
  });
});
