import { EventEmitter } from 'node:events';
import { FairGate } from '@warmwind/shared/node/fair-gate';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { storedEvent } from '../infra/testing/events.ts';
import { waitFor } from '../infra/testing/wait.ts';
import { LIMITS } from './limits.ts';
import { Metrics } from './metrics.ts';
import { Outgoing } from './outgoing.ts';
import { openStream } from './testing/stream.ts';
import { collect, connected, percents, progress, subscribe, ticket, upTo, World } from './testing/world.ts';

const EVENTS = 150;
const EVENT_BYTES = 161 * 1024;
const MB = 2 ** 20;
let world: World;

beforeAll(async () => {
  world = await World.start();
});
afterEach(() => world.tidy());
afterAll(() => world?.stop());

/** A client that reads nothing once its subscription is accepted, until it is resumed. */
async function deaf(url: string, token: string, room: string): Promise<{ ws: WebSocket; seen: unknown[] }> {
  const ws = new WebSocket(`${url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`);
  world.onTidy(() => ws.terminate());
  ws.on('error', () => undefined);
  const packets = new EventEmitter();
  const seen: unknown[] = [];
  ws.on('message', (data) => {
    const text = data.toString();
    if (text.startsWith('42')) seen.push(JSON.parse(text.slice(2))[1].data.percent);
    else packets.emit(text.slice(0, 2));
  });
  const next = (head: string) => new Promise((resolve) => packets.once(head, resolve));
  await new Promise((resolve) => ws.once('open', resolve));
  const opened = next('40');
  ws.send(`40${JSON.stringify({ token })}`);
  await opened;
  packets.once('43', () => ws.pause());
  const accepted = next('43');
  ws.send(`420${JSON.stringify(['subscribe', { room }])}`);
  await accepted;
  return { ws, seen };
}

const large = (percent: number) => storedEvent('job.progress', { percent, message: 'x'.repeat(EVENT_BYTES) });

test('clients that do not read keep the memory of a node within its bound, and others miss nothing', async () => {
  const node = await world.process();
  const jobs = await Promise.all(upTo(2).map(() => world.job('ann')));
  for (const job of jobs) for (const n of upTo(EVENTS)) await world.append('ann', job, large(n));
  const before = await node.rss();
  const token = await ticket('ann');
  for (const job of jobs) for (const _ of upTo(40)) await deaf(node.url, token, `job:${job}`);
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
  for (const n of upTo(20)) {
    await world.append('bob', sockets[1]?.own ?? '', progress(n));
    for (const each of jobs) await world.append('ann', each, large(EVENTS + n));
    await look();
  }
  for (const { user, events } of sockets) {
    const all = upTo(user === 'ann' ? EVENTS + 20 : 20);
    await waitFor(`all events of ${user}`, async () => {
      await look();
      return events.length >= all.length;
    });
    expect(percents(events)).toEqual(all);
  }
  console.log(`grew by ${Math.round(most / MB)} MB`);
  expect(most).toBeLessThan(450 * MB);
});

test('a client that reads nothing for a while is sent every event once and in order when it reads again', async () => {
  const { url } = await world.node();
  const job = await world.job('ann');
  for (const n of upTo(60)) await world.append('ann', job, large(n));
  const { ws, seen } = await deaf(url, await ticket('ann'), `job:${job}`);
  for (const n of upTo(60)) await world.append('ann', job, large(60 + n));
  ws.resume();
  await waitFor('all events', () => seen.length >= 120);
  expect(seen).toEqual(upTo(120));
});

test('a stream is sent all of a log that is larger than what may wait', async () => {
  const { url } = await world.node();
  const job = await world.job('ann');
  for (const n of upTo(60)) await world.append('ann', job, large(n));
  const stream = await openStream(url, await ticket('ann'), job);
  world.onTidy(stream.close);
  await waitFor('all events', () => stream.events.length >= 60);
  expect(percents(stream.events)).toEqual(upTo(60));
});

test('what waits is bounded for each subject, and shared between those that have something waiting', () => {
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

test('a subject with many tasks delays only its own', async () => {
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
