import * as names from '@warmwind/shared/engine/keys';
import { writeUserLimits } from '@warmwind/shared/engine/ledger/user-limits';
import { setUserLimits } from '@warmwind/shared/engine/scripts/user-limits.lua';
import { beginDelivery } from '@warmwind/shared/engine/scripts/webhook.lua';
import { setLimitsArgs } from '@warmwind/shared/engine/user-limits';
import { runScript } from '@warmwind/shared/runtime/node/script';
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { contents, fill, operate, redisContents, type Servers, startServers } from './testing.ts';
import { UserKeys } from './user-keys.ts';

const { keys, roomKeys } = names;

// Commands are processes of their own, which a busy machine starts slowly.
vi.setConfig({ testTimeout: 120_000 });

let servers: Servers;
beforeAll(async () => {
  servers = await startServers();
});
afterAll(() => servers?.stop());
beforeEach(() => servers.clear());

const forget = (...args: string[]) => operate('forget', args, servers.env);

/**
 * A user with a job of each age: an old one, one that ended a moment ago, a waiting one, a running one,
 * waiting changes, limits of their own and the record of a webhook.
 */
async function live(user: string): Promise<void> {
  await fill(servers.postgres.sql, user, 3);
  const [ended, moved] = [await servers.start(user), await servers.start(user)];
  await servers.records.containers.change(ended, { to: 'stopped', fence: 0 });
  await servers.records.jobs.end(ended, { state: 'completed', result: { containerId: ended.containerId } });
  await servers.drain.once();
  await servers.records.jobs.claim(moved, 0);
  const waiting = await servers.start(user);
  await servers.queue.client.set(keys.input(user, waiting.jobId), '{"prompt":"private"}');
  await servers.queue.client.zadd(keys.cancellations(), Date.now(), `${user}/${moved.jobId}`);
  const end = { state: 'failed', error: { code: 'internal', message: 'private', retryable: true } } as const;
  await servers.notify({ ref: ended, webhook: true, at: Date.now(), attemptsMade: 1, end });
  await deliver(user, ended.jobId);
  await limit(user);
}

/** Records a webhook's delivery as workers do, with the address of a test as the edge does. */
async function deliver(user: string, jobId: string): Promise<void> {
  const delivery = { id: 'delivery', jobId, about: 'test', data: '{}', createdAt: Date.now(), resends: 0 };
  await runScript(servers.queue.client, beginDelivery, { userId: user, id: delivery.id }, delivery);
  await servers.queue.client.hset(keys.webhookDelivery(user, delivery.id), 'url', 'https://private.example');
}

/** Sets limits of a user as the edge does. */
async function limit(userId: string): Promise<void> {
  const set = await servers.ledger.run((db) =>
    writeUserLimits(db, { userId, limits: { desktops: 5 }, by: 'operator' }),
  );
  await runScript(servers.queue.client, setUserLimits, { userId }, setLimitsArgs(set));
}

const snapshot = async () => ({
  ledger: await contents(servers.postgres.sql),
  queue: await redisContents(servers.queue),
  realtime: await redisContents(servers.realtime),
});

/** Keys of queues change with every entry; those of the fleet and of users do not. */
const own = (found: Map<string, string>) =>
  [...found].filter(([name]) => !name.includes('}:containers:') && !name.includes('}:webhooks:'));

test('forgetting a user leaves nothing of them, and changes nothing of other users', async () => {
  const others = ['axb', 'a.b2', 'aa.b', 'containers', 'a'];
  for (const other of others) await live(other);
  while ((await servers.drain.once()) > 0);
  const before = await snapshot();
  await live('a.b');

  expect(await forget('a.b', '--yes')).toMatchObject({
    code: 0,
    err: '',
    out: expect.stringMatching(/ {2}jobs +6\n[\s\S]*Nothing is left/),
  });
  const after = await snapshot();
  expect(after.ledger).toEqual(before.ledger);
  expect(own(after.queue)).toEqual(own(before.queue));
  expect([...after.realtime]).toEqual([...before.realtime]);
  const webhooks = await servers.queueOf('webhooks').getJobs();
  expect(webhooks.map(({ data }) => data.userId).sort()).toEqual(
    others.flatMap((user) => [user, user]).sort(),
  );
  const entries = await servers.queueOf('containers').getJobs();
  expect(entries.map(({ data }) => data.userId).sort()).toEqual(
    others.flatMap((user) => [user, user, user]).sort(),
  );
});

test('a user who is called as a queue is forgotten, and the queue is not', async () => {
  await live('containers');
  const waiting = await servers.start('bob');
  expect(await forget('containers', '--yes')).toMatchObject({ code: 0 });
  expect(await servers.queueOf('containers').getJob(waiting.jobId)).toBeDefined();
  expect(await servers.queue.client.keys('ww:{containers}:container*')).toEqual(
    await servers.queue.client.keys('ww:{containers}:containers:*'),
  );
  expect(await servers.queueOf('containers').getJobCounts()).toMatchObject({ waiting: 1 });
});

test('without --yes it lists what exists and deletes nothing', async () => {
  await live('ada');
  const before = await snapshot();
  expect(await forget('ada')).toMatchObject({
    code: 0,
    out: expect.stringMatching(
      / {2}jobs +6\n[\s\S]*queue entries +5\n[\s\S]*Nothing was deleted\. Add --yes/,
    ),
  });
  expect(await snapshot()).toEqual(before);
});

test('a desktop whose host does not stop it in time keeps everything, and is named', async () => {
  const ref = await servers.start('ada');
  await servers.queue.client.zadd(keys.hosts(), Date.now(), 'gone');
  await servers.records.containers.assign(ref, {
    fence: 0,
    host: 'gone',
    boot: 'boot',
    instanceId: 'i-boot',
  });
  const { code, out } = await forget('ada', '--yes', '--within', '1');
  expect({ code, out }).toMatchObject({ code: 1, out: expect.stringContaining('Nothing was deleted') });
  expect(out).toContain(`desktop ${ref.containerId} starting gone`);
  expect((await contents(servers.postgres.sql)).containers).toHaveLength(1);
  // The stop stays queued: one stop, however often it was requested.
  expect(await servers.queueOf('containers-gone').getJobCounts()).toMatchObject({ waiting: 1 });
});

test('jobs that only the ledger knows are ended and deleted too', async () => {
  await servers.start('ada');
  await servers.queue.client.flushall();
  expect(await forget('ada', '--yes')).toMatchObject({ code: 0 });
  for (const rows of Object.values(await contents(servers.postgres.sql))) expect(rows).toEqual([]);
  expect(await servers.queue.client.keys('*ada*')).toEqual([]);
});

/** Keys of a user that `ledger:forget` leaves, each with the reason. */
const EXEMPT: ReadonlySet<unknown> = new Set([
  // A channel holds nothing.
  roomKeys.channel,
]);

test('every kind of key that a user can have is found', async () => {
  const user = 'u';
  // All groups of names: keys of BullMQ, hosts and the fleet are of no user.
  const groups = Object.values(names).filter((group) => typeof group === 'object');
  const ours = groups
    .flatMap((group) => Object.values(group))
    .filter((name) => !EXEMPT.has(name))
    .map((name) => (name as (...parts: string[]) => string)(user, 'x'))
    .filter((name) => name.startsWith(`ww:{${user}}:`));
  expect(ours.length).toBeGreaterThan(15);
  for (const name of ours) await servers.queue.client.set(name, '');
  const found = new UserKeys(servers.queue.client, user);
  expect(await found.count()).toBe(ours.length);
  await found.delete();
  expect(await servers.queue.client.keys('*')).toEqual([]);
});

test('called wrongly, or without servers, it prints the remedy and changes nothing', async () => {
  const calls = [[], ['a', 'b'], ['a*b', '--yes'], ['a', '--within', 'x'], ['a', '--no']];
  for (const wrong of await Promise.all(calls.map((args) => forget(...args)))) {
    expect(wrong).toMatchObject({ code: 2, out: '', err: expect.stringMatching(/Usage|Unknown/) });
  }
  const { LEDGER_URL } = servers.env;
  expect(await operate('forget', ['a', '--yes'], { LEDGER_URL })).toMatchObject({
    code: 2,
    err: expect.stringContaining('Set REDIS_QUEUE_URL and REDIS_REALTIME_URL'),
  });
  await servers.realtime.kill();
  expect(await forget('a', '--yes')).toMatchObject({
    code: 1,
    err: expect.stringContaining('The realtime Redis does not answer'),
  });
});
