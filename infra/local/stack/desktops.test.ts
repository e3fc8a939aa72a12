import { keys, roomKeys } from '@warmwind/shared/engine/keys';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { startPostgres } from '../../quality/testing/postgres.ts';
import { startRedis, type TestRedis } from '../../quality/testing/redis.ts';
import { recordStopped } from './desktops.ts';

const USER = 'u1';
const HOST = 'worker-1';
let queue: TestRedis;
let realtime: TestRedis;

beforeAll(async () => {
  [queue, realtime] = await Promise.all([startRedis(), startRedis()]);
});
afterAll(() => Promise.all([queue.stop(), realtime.stop()]));
beforeEach(() => Promise.all([queue.client.flushall(), realtime.client.flushall()]));

/** A desktop that was once assigned to the host, with its present record. */
async function desktop(id: string, state: string, host = HOST): Promise<void> {
  await queue.client.hset(keys.container(USER, id), { id, state, host, boot: 'b', fence: 3 });
  await queue.client.sadd(keys.hostContainers(HOST), `${USER}/${id}`);
}
const stateOf = (id: string) => queue.client.hget(keys.container(USER, id), 'state');
const eventsOf = async (id: string) => {
  const entries = await realtime.client.xrange(roomKeys.log(USER, `container:${id}`), '-', '+');
  return entries.map(([, fields]) => (JSON.parse(fields[3] ?? '{}') as { type: string }).type);
};
const record = (ledger?: string) =>
  recordStopped({ queue: queue.url, realtime: realtime.url, ledger }, [HOST]);

it('every desktop assigned to the host has stopped, in its record and its log', async () => {
  const states = ['starting', 'running', 'paused', 'stopping'];
  for (const state of states) await desktop(state, state);
  expect(await record()).toEqual({ stopped: 4, unpublished: 0 });
  for (const id of states) {
    expect(await stateOf(id)).toBe('stopped');
    expect(await eventsOf(id)).toEqual(['container.stopping', 'container.stopped']);
  }
  expect(await queue.client.exists(keys.hostContainers(HOST))).toBe(0);
});

it('the ledger records it too; while it is away the changes stay in Redis', async () => {
  const postgres = await startPostgres({ migrated: true });
  try {
    await desktop('a', 'running');
    await queue.client.hset(keys.container(USER, 'a'), { createdAt: '1', jobId: 'j', spec: '{}' });
    expect(await record(postgres.url)).toEqual({ stopped: 1, unpublished: 0 });
    expect(await postgres.sql`select state from containers`).toEqual([{ state: 'stopped' }]);
    await postgres.kill();
    await desktop('b', 'running');
    expect(await record(postgres.url)).toEqual({ stopped: 1, unpublished: 0 });
    expect(await queue.client.xlen(keys.changes(USER))).toBe(2);
  } finally {
    await postgres.stop();
  }
});
it('a desktop that waits for a host, has ended or is on another host stays unchanged', async () => {
  await desktop('waiting', 'requested', '');
  await desktop('failed', 'failed');
  await desktop('elsewhere', 'running', 'worker-9');
  expect(await record()).toEqual({ stopped: 0, unpublished: 0 });
  expect(await Promise.all(['waiting', 'failed', 'elsewhere'].map(stateOf))).toEqual([
    'requested',
    'failed',
    'running',
  ]);
});

it('a realtime Redis that is away costs the events, not the record', async () => {
  await desktop('a', 'running');
  await realtime.kill();
  try {
    expect(await record()).toEqual({ stopped: 1, unpublished: 2 });
  } finally {
    await realtime.restart();
  }
  expect(await stateOf('a')).toBe('stopped');
});

it('a queue Redis that does not answer ends it with an error', async () => {
  queue.freeze();
  try {
    await expect(record()).rejects.toThrow('closed');
  } finally {
    queue.thaw();
  }
});
