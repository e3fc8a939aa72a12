import { keys } from '@warmwind/shared/engine/keys';
import { createLog } from '@warmwind/shared/runtime/node/log';
import { connectFailFast, disconnect } from '@warmwind/shared/runtime/node/redis';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { startRedis, type TestRedis } from '../../infra/quality/testing/redis.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { Lease } from './lease.ts';

const log = createLog('test');
log.level = 'silent';
const key = keys.hostLease('a');
let redis: TestRedis;
let connection: Redis;

beforeAll(async () => {
  redis = await startRedis();
  connection = connectFailFast(redis.url, 'test', log, 300);
  await waitFor('the connection', () => connection.status === 'ready');
});
beforeEach(() => redis.client.flushall());
afterAll(async () => {
  await disconnect(connection);
  await redis.stop();
});

const lease = (holder: string, reported: boolean[] = []) =>
  new Lease({ redis: connection, key, holder, ttlMs: 900, log, onChange: (held) => reported.push(held) });

test('one process holds a name at a time, and a waiting one gets it on its release', async () => {
  const first = lease('one');
  const second = lease('two');
  first.start();
  await waitFor('the first to hold it', () => first.held);
  second.start();
  await waitFor('two renewals', async () => (await redis.client.pttl(key)) > 850);
  expect(second.held).toBe(false);
  await first.release();
  await waitFor('the second to hold it', () => second.held);
  await first.release();
  expect(await redis.client.get(key)).toBe('two');
  await second.release();
  expect(await redis.client.exists(key)).toBe(0);
});

test('a holder whose Redis stalls considers its lease lost once it has expired', async () => {
  const reported: boolean[] = [];
  const held = lease('one', reported);
  held.start();
  await waitFor('it to be held', () => held.held);
  redis.freeze();
  await waitFor('it to be lost', () => !held.held);
  await waitFor('the change to be reported', () => reported.length >= 2);
  expect(reported).toEqual([true, false]);
  redis.thaw();
  await held.release();
});

test('a lease is held again once Redis has recovered', async () => {
  const held = lease('one');
  held.start();
  await waitFor('it to be held', () => held.held);
  await redis.kill();
  await waitFor('it to be lost', () => !held.held);
  await redis.restart();
  await waitFor('it to be held again', () => held.held);
  await held.release();
});

test('a lease that a peer released is dropped at once, and held again as soon as the process may', async () => {
  const reported: boolean[] = [];
  let mayHold = true;
  let asked = 0;
  const dropped = new Lease({
    redis: connection,
    key,
    holder: 'one',
    ttlMs: 120_000,
    log,
    onChange: (held) => reported.push(held),
    mayHold: () => {
      asked += 1;
      return mayHold;
    },
  });
  dropped.start();
  await waitFor('it to be held', () => dropped.held);
  mayHold = false;
  expect(dropped.held).toBe(false);
  expect(reported).toEqual([true]);
  await redis.client.del(key);
  dropped.drop();
  expect(reported).toEqual([true, false]);
  const before = asked;
  await waitFor('it to be asked for again', () => asked > before + 1);
  expect(await redis.client.exists(key)).toBe(0);
  mayHold = true;
  await waitFor('it to be held again', () => dropped.held);
  expect(reported).toEqual([true, false, true]);
  await dropped.release();
});
