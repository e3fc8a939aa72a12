import { jobEventsPath, type Revoked } from '@warmwind/shared/contract/tickets';
import { keys, REVOKED_CHANNEL } from '@warmwind/shared/engine/keys';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { openStream } from '../testing/stream.ts';
import { connected, ticket, World } from '../testing/world.ts';

let world: World;

beforeAll(async () => {
  world = await World.start();
});
afterEach(() => world.tidy());
afterAll(() => world?.stop());

/** Revokes all tickets of a user that were issued until `before`: the edge writes it, and publishes it. */
const writeAll = (userId: string, before: number) =>
  world.queue.client.set(keys.revokedBefore(userId), before);
const publishAll = (userId: string, before: number) =>
  world.queue.client.publish(REVOKED_CHANNEL, JSON.stringify({ userId, before } satisfies Revoked));

/** Revokes one ticket: the edge writes it, and publishes it. Either alone is enough. */
const write = (userId: string, ticketId: string) =>
  world.queue.client.zadd(keys.revoked(userId), Date.now() + 60_000, ticketId);
const publishRevocation = (userId: string, ticketId: string) =>
  world.queue.client.publish(REVOKED_CHANNEL, JSON.stringify({ userId, ticketId } satisfies Revoked));

test.each([
  ['published', publishRevocation],
  ['written, and whose message was missed,', write],
])('a revocation that is %s closes the sockets and streams of only that ticket', async (_, revoke) => {
  const nodes = [await world.node(), await world.node()];
  const [here, there] = nodes.map(({ url }) => url);
  const job = await world.job('ann');
  const [bad, good] = [await ticket('ann', { id: 'bad' }), await ticket('ann', { id: 'good' })];
  const sockets = nodes.map(({ url }) => world.client(url, bad));
  const other = world.client(here ?? '', good);
  await Promise.all([...sockets, other].map(connected));
  const stream = await openStream(there ?? '', bad, job);
  const kept = await openStream(there ?? '', good, job);
  world.onTidy(kept.close);
  await revoke('ann', 'bad');
  await waitFor('all to be closed', () => sockets.every((socket) => !socket.connected) && stream.over());
  expect(other.connected).toBe(true);
  expect(kept.over()).toBeUndefined();
  await world.queue.client.del(keys.revoked('ann'));
});

test.each([
  ['published', publishAll],
  ['written, and whose message was missed,', writeAll],
])(
  "a revocation of all tickets that is %s closes all of a user's earlier sockets and streams",
  async (_, revoke) => {
    const nodes = [await world.node(), await world.node()];
    const [here = '', there = ''] = nodes.map(({ url }) => url);
    const job = await world.job('ann');
    const now = Date.now();
    const old = await ticket('ann', { iat: now / 1000 - 5 });
    const link = await ticket('ann', { containerId: await world.container('ann'), iat: now / 1000 - 1 });
    const unknown = await ticket('ann', { iat: undefined });
    const later = await ticket('ann', { iat: now / 1000 + 1 });
    const sockets = [old, link, unknown].flatMap((bad) => nodes.map(({ url }) => world.client(url, bad)));
    const kept = [
      world.client(here, later),
      world.client(there, await ticket('bob', { iat: now / 1000 - 5 })),
    ];
    await Promise.all([...sockets, ...kept].map(connected));
    const stream = await openStream(there, old, job);
    await revoke('ann', now);
    await waitFor('all to be closed', () => sockets.every((socket) => !socket.connected) && stream.over());
    expect(kept.map((socket) => socket.connected)).toEqual([true, true]);
    await world.queue.client.del(keys.revokedBefore('ann'));
  },
);

test('a ticket issued before a revocation of all tickets is refused; one issued after it is accepted', async () => {
  const { url } = await world.node();
  const now = Date.now();
  await writeAll('ann', now);
  const old = await ticket('ann', { iat: now / 1000 });
  expect((await connected(world.client(url, old)))?.data?.code).toBe('unauthenticated');
  expect(await connected(world.client(url, await ticket('ann', { iat: (now + 1) / 1000 })))).toBeUndefined();
  expect(await connected(world.client(url, await ticket('bob', { iat: now / 1000 })))).toBeUndefined();
  await world.queue.client.del(keys.revokedBefore('ann'));
});

test('a revoked ticket opens neither a socket nor a stream, on any node', async () => {
  const job = await world.job('ann');
  const bad = await ticket('ann', { id: 'bad' });
  await write('ann', 'bad');
  for (const { url } of [await world.node(), await world.node()]) {
    expect((await connected(world.client(url, bad)))?.data?.code).toBe('unauthenticated');
    const headers = { Authorization: `Bearer ${bad}` };
    expect((await fetch(`${url}${jobEventsPath(job)}`, { headers })).status).toBe(401);
  }
});

test("revoking under another user's name changes nothing", async () => {
  const { url } = await world.node();
  const socket = world.client(url, await ticket('ann', { id: 'mine' }));
  await connected(socket);
  await write('mallory', 'mine');
  await publishRevocation('mallory', 'mine');
  await world.queue.client.publish(REVOKED_CHANNEL, 'nonsense');
  expect(await connected(world.client(url, await ticket('ann', { id: 'mine' })))).toBeUndefined();
  expect(socket.connected).toBe(true);
});

test('while the queue Redis is away tickets connect; revoked ones are disconnected when it is back', async () => {
  const { url } = await world.node();
  await write('ann', 'late');
  await world.queue.kill();
  const socket = world.client(url, await ticket('ann', { id: 'late' }));
  expect(await connected(socket)).toBeUndefined();
  await world.queue.restart();
  await waitFor('it to be closed', () => !socket.connected);
});
