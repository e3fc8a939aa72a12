import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { startRedis, type TestRedis } from '../../../infra/quality/testing/redis.ts';
import { createLog } from '../../runtime/node/log.ts';
import { keys, roomKeys } from '../keys.ts';
import { moveOldKeys } from './old-keys.ts';
import { Publisher } from './publisher.ts';
import { Records } from './records.ts';

const USER = 'host:worker-1';
const OLD = `ww:{${USER}}`;
const signal = new AbortController().signal;
let server: TestRedis;
let redis: Redis;
let records: Records;

beforeAll(async () => {
  server = await startRedis();
  redis = new Redis(server.url);
  records = new Records(redis, new Publisher(redis, createLog('test')));
});
afterAll(async () => {
  redis?.disconnect();
  await server?.stop();
});
beforeEach(() => redis.flushall());

test('keys of users with the name of a host or queue move, with their content; others stay', async () => {
  await redis.zadd(`${OLD}:containers`, 5, 'c1');
  await redis.pexpire(`${OLD}:containers`, 60_000);
  await redis.hset(`${OLD}:container:c1`, { id: 'c1', state: 'running' });
  await redis.xadd(`${OLD}:log:user:${USER}`, '*', 'n', '1', 'e', '{}');
  await redis.zadd('ww:{models}:jobs', 7, 'j1');
  await redis.hset('ww:{urn:x}:job:j2', { id: 'j2' });
  const kept = {
    'ww:{host:worker-1}:lease': 'boot',
    'ww:{ada}:input:j1': '{}',
    'ww:{models}:served:x': '1',
    'ww:{containers}:containers:meta': '1',
  };
  await redis.mset(kept);
  await redis.sadd('ww:{host:worker-2}:containers', 'ada/c9');

  expect(await moveOldKeys(redis, signal)).toBe(5);
  expect(await redis.zrange(keys.containers(USER), '0', '-1', 'WITHSCORES')).toEqual(['c1', '5']);
  expect(await redis.pttl(keys.containers(USER))).toBeGreaterThan(0);
  expect(await redis.hget(keys.container(USER, 'c1'), 'state')).toBe('running');
  expect(await redis.xlen(roomKeys.log(USER, `user:${USER}`))).toBe(1);
  expect(await redis.zscore(keys.jobs('models'), 'j1')).toBe('7');
  expect(await redis.hget(keys.job('urn:x', 'j2'), 'id')).toBe('j2');
  expect(await redis.mget(Object.keys(kept))).toEqual(Object.values(kept));
  expect(await redis.smembers(keys.hostContainers('worker-2'))).toEqual(['ada/c9']);
  expect(await moveOldKeys(redis, signal)).toBe(0);
});

test('writes of an earlier release are merged into the present keys, whose values win', async () => {
  await redis.zadd(keys.jobs(USER), 1, 'both', 2, 'new');
  await redis.zadd(`${OLD}:jobs`, 9, 'both', 3, 'old');
  await redis.hset(keys.job(USER, 'both'), { state: 'active' });
  await redis.hset(`${OLD}:job:both`, { state: 'queued' });
  await moveOldKeys(redis, signal);
  expect(await redis.zrange(keys.jobs(USER), '0', '-1')).toEqual(['both', 'new', 'old']);
  expect(await redis.hget(keys.job(USER, 'both'), 'state')).toBe('active');
  expect(await redis.keys(`${OLD}*`)).toEqual([]);
});

test('a host whose set has the name of an old user key can take, list and forget desktops', async () => {
  await redis.zadd(`${OLD}:containers`, 5, 'c1');
  await redis.hset(keys.container('ada', 'c2'), { id: 'c2', state: 'requested', fence: '0' });
  const ref = { userId: 'ada', containerId: 'c2' };
  expect(
    await records.containers.assign(ref, { fence: 0, host: 'worker-1', boot: 'boot', instanceId: 'i-boot' }),
  ).toEqual({ verdict: 'ok', fence: 1 });
  expect(await records.containers.ofHost('worker-1')).toEqual([ref]);
  await records.containers.forget('worker-1', ref);
  expect(await records.containers.ofHost('worker-1')).toEqual([]);
  expect(await redis.zrange(keys.containers(USER), '0', '-1')).toEqual(['c1']);
});
