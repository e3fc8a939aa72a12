import { keys } from '@warmwind/shared/engine/keys';
import { createLog } from '@warmwind/shared/runtime/node/log';
import { connectFailFast, disconnect } from '@warmwind/shared/runtime/node/redis';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { startRedis, type TestRedis } from '../../infra/quality/testing/redis.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import type { Offer } from '../placement/offer.ts';
import { Presence } from './presence.ts';

const log = createLog('test');
log.level = 'silent';
let redis: TestRedis;
let connection: Redis;
let presence: Presence;
let offer: Pick<Offer, 'published' | 'draining'>;

beforeAll(async () => {
  redis = await startRedis();
  connection = connectFailFast(redis.url, 'test', log, 300);
  await waitFor('the connection', () => connection.status === 'ready');
});
beforeEach(async () => {
  await redis.client.flushall();
  offer = { published: undefined, draining: undefined };
  presence = new Presence({
    redis: connection,
    host: 'b',
    memoryMb: 1024,
    offer,
    leaseMs: 300,
  });
});
afterAll(async () => {
  await disconnect(connection);
  await redis.stop();
});

const trusted = async () => {
  await presence.renewed();
  await waitFor('Redis to be trusted', () => presence.remembered());
};
const mayLive = () => presence.mayLive('a', 'boot');

test('a process may live only while it holds its host’s lease', async () => {
  await trusted();
  await redis.client.set(keys.hostLease('a'), 'boot');
  expect(await mayLive()).toBe(true);
  await redis.client.set(keys.hostLease('a'), 'later');
  expect(await mayLive()).toBe(false);
  await redis.client.del(keys.hostLease('a'));
  expect(await mayLive()).toBe(false);
  await presence.renewed();
  expect(await mayLive()).toBe(false);
});

test('a missing lease proves nothing for a while after this process started', async () => {
  expect(await mayLive()).toBe(true);
  await presence.renewed();
  expect(await mayLive()).toBe(true);
  await waitFor('it to prove a death', async () => !(await mayLive()));
});

test.each([
  ['was wiped', () => redis.client.flushall()],
  ['has lost its last seconds', () => redis.client.zadd(keys.hosts(), Date.now() - 5000, 'b')],
])('a Redis that %s is not trusted until living hosts have had time to renew', async (_, forget) => {
  await trusted();
  expect(await mayLive()).toBe(false);
  await forget();
  expect(await mayLive()).toBe(true);
  await presence.renewed();
  expect(await mayLive()).toBe(true);
  await waitFor('it to be trusted again', async () => !(await mayLive()));
});

test('a loss of data that is first noticed at a renewal counts too', async () => {
  await trusted();
  await redis.client.flushall();
  await presence.renewed();
  expect(await mayLive()).toBe(true);
});

test('a Redis that does not answer proves nothing', async () => {
  await trusted();
  await redis.kill();
  expect(await mayLive()).toBe(true);
  expect(await presence.remembered()).toBe(false);
  await redis.restart();
  await waitFor('the connection', () => connection.status === 'ready');
});

test('a host is drained while Redis says so, and gives a wiped Redis what it knew', async () => {
  await trusted();
  expect(offer.draining).toBeUndefined();
  await redis.client.hset(keys.drainingHosts(), 'b', JSON.stringify({ since: 5 }));
  await presence.renewed();
  expect(offer.draining).toEqual({ since: 5 });
  await redis.client.flushall();
  await presence.renewed();
  expect(offer.draining).toEqual({ since: 5 });
  expect(await redis.client.hget(keys.drainingHosts(), 'b')).toBe('{"since":5}');
  await redis.client.hdel(keys.drainingHosts(), 'b');
  await presence.renewed();
  expect(offer.draining).toBeUndefined();
});

test('a drain that ended after a renewal failed does not come back', async () => {
  await trusted();
  await redis.client.hset(keys.drainingHosts(), 'b', JSON.stringify({ since: 5 }));
  await presence.renewed();
  expect(offer.draining).toEqual({ since: 5 });
  connection.disconnect();
  await expect(presence.renewed()).rejects.toThrow();
  await redis.client.hdel(keys.drainingHosts(), 'b');
  await waitFor('the connection to end', () => connection.status === 'end');
  await connection.connect();
  await presence.renewed();
  expect(offer.draining).toBeUndefined();
  expect(await redis.client.hlen(keys.drainingHosts())).toBe(0);
});

test('a process that a peer declared dead does not live, without a wait for trust', async () => {
  await redis.client.set(keys.hostLease('a'), 'boot');
  expect(await mayLive()).toBe(true);
  await redis.client.zadd(keys.deadProcesses(), Date.now(), 'boot');
  expect(await mayLive()).toBe(false);
});
