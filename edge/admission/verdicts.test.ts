import type { JobCommand } from '@warmwind/shared/contract/command';
import { inference } from '@warmwind/shared/contract/commands/inference';
import { newId } from '@warmwind/shared/contract/ids';
import { planOf, type SubmitPlan } from '@warmwind/shared/contract/plan';
import type { JobKind } from '@warmwind/shared/contract/registry';
import { keys, recordPrefixes } from '@warmwind/shared/engine/keys';
import { type SubmitRequest, type SubmitVerdict, submitKeys } from '@warmwind/shared/engine/records';
import { submitScript } from '@warmwind/shared/engine/scripts/submit.lua';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startRedis, type TestRedis } from '../../infra/quality/testing/redis.ts';

/** Creates a command of a kind that no version has: the script decides by plans alone. */
const command = (kind: string, more: Partial<JobCommand>): JobCommand => ({
  ...inference,
  kind,
  lane: () => 'placements',
  container: 'none',
  requires: undefined as never,
  keepsInput: false,
  ...more,
});
const COMMANDS = {
  echo: command('echo', {
    lane: () => 'work',
    container: 'path',
    requires: ['running'],
    keepsInput: true,
  }),
  end: command('end', {
    lane: () => 'control',
    container: 'path',
    once: 'stopJobId',
    enters: 'stopping',
    counts: false,
  }),
  trio: command('trio', { container: 'creates', creates: () => 3 }),
  ask: command('ask', { lane: () => 'models', container: 'input', requires: ['running'], keepsInput: true }),
  final: command('final', { retryable: false }),
};
type Name = keyof typeof COMMANDS;
const plan = (name: Name): SubmitPlan => planOf(COMMANDS[name], COMMANDS[name].lane({}));
const PLANS = Object.fromEntries(Object.keys(COMMANDS).map((name) => [name, plan(name as Name)]));

let redis: TestRedis;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis?.stop());
beforeEach(() => redis.client.flushall());

const USER = 'ada';
const BOUNDS = {
  scopes: [],
  userId: USER,
  prefixes: recordPrefixes(USER),
  openTtlMs: 60_000,
  unconfirmedTtlMs: { record: 60_000, key: 60_000 },
  reservationMs: 60_000,
};

async function decide(
  request: Partial<SubmitRequest> & { job: { id: string } },
  idempotencyHash?: string,
): Promise<SubmitVerdict> {
  const options = { ...BOUNDS, nonce: newId(), quotas: { jobs: 9, desktops: 9 }, ...request };
  const scopes = (options.scopes as unknown[]).length > 0 ? (['user'] as const) : [];
  const names = submitKeys(USER, scopes, { jobId: request.job.id, idempotencyHash });
  const answer = await redis.client.eval(
    submitScript,
    names.length,
    ...names,
    JSON.stringify(options),
    'input',
  );
  return JSON.parse((answer as [unknown, string])[1]) as SubmitVerdict;
}

type About = { containerId?: string; containers?: Record<string, string>[] };
const submit = (name: Name, about: About = {}, more: Partial<SubmitRequest> & { key?: string } = {}) => {
  const { key, ...rest } = more;
  const job = { id: newId(), kind: name as JobKind, requestId: 'r' };
  return decide({ plan: plan(name), job, ...about, ...rest } as never, key);
};
const retry = (id: string, more: Partial<SubmitRequest> = {}) =>
  decide({
    plans: PLANS,
    job: { id, requestId: 'again' },
    newIds: ['n1', 'n2', 'n3'],
    maxChanges: 10,
    keyTtlMs: 60_000,
    ...more,
  } as never);

const container = (state: string, more: Record<string, string> = {}) =>
  redis.client.hset(keys.container(USER, 'c1'), { id: 'c1', state, fence: '1', ...more });
const three = ['a', 'b', 'c'].map((id) => ({ id, name: id, spec: '{"a":1}' }));
const jobIdOf = (verdict: SubmitVerdict): string => {
  if (!('jobId' in verdict)) throw new Error(verdict.verdict);
  return verdict.jobId;
};
/** Creates a job of this kind that has ended in `state`. */
async function ended(name: Name, about: About, state = 'failed'): Promise<string> {
  const id = jobIdOf(await submit(name, about));
  await redis.client.hset(keys.job(USER, id), { state, fence: '1' });
  await redis.client.zrem(keys.openJobs(USER), id);
  return id;
}
const written = async () => (await redis.client.keys('*')).filter((name) => name.includes(':job:')).length;

describe('a command about one container', () => {
  test.each<[Name, string | undefined, string]>([
    ['echo', undefined, 'not_found'],
    ['echo', 'stopped', 'ended'],
    ['echo', 'failed', 'ended'],
    ['echo', 'lost', 'ended'],
    ['echo', 'starting', 'unready'],
    ['echo', 'stopping', 'unready'],
    ['echo', 'running', 'accepted'],
    ['end', undefined, 'not_found'],
    ['end', 'stopped', 'ended'],
    ['end', 'requested', 'accepted'],
    ['end', 'stopping', 'accepted'],
    ['ask', undefined, 'not_found'],
    ['ask', 'paused', 'unready'],
    ['ask', 'running', 'accepted'],
  ])('%s of a container that is %s: %s', async (name, state, wanted) => {
    if (state) await container(state);
    expect(await submit(name, { containerId: 'c1' })).toMatchObject({ verdict: wanted });
    expect(await written()).toBe(wanted === 'accepted' ? 1 : 0);
  });

  test('waits in the queue of its lane at the host of its container, one queue for each lane', async () => {
    await container('running', { host: 'h7' });
    expect(await submit('echo', { containerId: 'c1' })).toMatchObject({ queue: 'containers-h7.work' });
    expect(await submit('end', { containerId: 'c1' })).toMatchObject({ queue: 'containers-h7' });
    expect(await submit('ask', { containerId: 'c1' })).toMatchObject({ queue: 'ai-inference' });
  });

  test('sets the state of a container without a host, and not of one with a host', async () => {
    await container('requested', { host: '' });
    await submit('end', { containerId: 'c1' });
    expect(await redis.client.hget(keys.container(USER, 'c1'), 'state')).toBe('stopping');
    await redis.client.flushall();
    await container('running', { host: 'h7' });
    await submit('end', { containerId: 'c1' });
    expect(await redis.client.hget(keys.container(USER, 'c1'), 'state')).toBe('running');
  });

  test('that runs one at a time is answered with the outstanding job, and with a new one after it', async () => {
    await container('running');
    const first = jobIdOf(await submit('end', { containerId: 'c1' }));
    expect(await submit('end', { containerId: 'c1' })).toMatchObject({ verdict: 'replayed', jobId: first });
    await redis.client.hset(keys.job(USER, first), 'state', 'completed');
    expect(await submit('end', { containerId: 'c1' })).toMatchObject({ verdict: 'accepted' });
  });
});

describe('a command that creates three containers', () => {
  test('writes three records, counts three and answers with all of them', async () => {
    const verdict = await submit('trio', { containers: three });
    expect(verdict).toMatchObject({
      verdict: 'accepted',
      containerId: 'a',
      containerIds: ['a', 'b', 'c'],
      records: { containers: three.map((fields) => ({ record: { ...fields, state: 'requested' } })) },
    });
    expect(await redis.client.zcard(keys.openContainers(USER))).toBe(3);
  });

  test.each([
    [0, 'accepted', 3],
    [6, 'accepted', 9],
    [7, 'quota', 7],
    [9, 'quota', 9],
  ])('takes the quota for all or none: with %i of 9 it is %s', async (used, wanted, after) => {
    const far = Date.now() + 60_000;
    for (let i = 0; i < used; i++) await redis.client.zadd(keys.openContainers(USER), far, `other${i}`);
    expect(await submit('trio', { containers: three })).toMatchObject({ verdict: wanted });
    expect(await redis.client.zcard(keys.openContainers(USER))).toBe(after);
    expect(await redis.client.exists(keys.container(USER, 'a'))).toBe(wanted === 'accepted' ? 1 : 0);
  });

  test('has three new containers like the first ones when it is retried', async () => {
    const id = await ended('trio', { containers: three });
    expect(await retry(id)).toMatchObject({ verdict: 'accepted', run: 2, containerIds: ['n1', 'n2', 'n3'] });
    expect(await redis.client.hget(keys.container(USER, 'n3'), 'name')).toBe('c');
    const { ends = '' } = await redis.client.hgetall(keys.job(USER, id));
    expect(JSON.parse(ends)).toMatchObject([{ run: 1, containerIds: '["a","b","c"]' }]);
  });
});

describe('any command', () => {
  test('of a job that waited for room at its end does not wait yet', async () => {
    const id = await ended('trio', { containers: three }, 'cancelled');
    await redis.client.hset(keys.job(USER, id), 'waiting', '{"reason":"memory","position":3}');
    expect(await retry(id)).toMatchObject({ verdict: 'accepted', run: 2 });
    expect(await redis.client.hget(keys.job(USER, id), 'waiting')).toBeNull();
  });

  test.each<[Name, About]>([
    ['echo', { containerId: 'c1' }],
    ['end', { containerId: 'c1' }],
    ['trio', { containers: three }],
    ['ask', {}],
    ['final', {}],
  ])(
    '%s: the same key is the same job, another request with it a mismatch, and a full tier denies',
    async (name, about) => {
      await container('running');
      const first = await submit(name, about, { bodyHash: 'h', key: 'k' });
      expect(first.verdict).toBe('accepted');
      expect(await submit(name, about, { bodyHash: 'h', key: 'k' })).toMatchObject({
        verdict: 'replayed',
        jobId: jobIdOf(first),
        records: { job: { record: { id: jobIdOf(first), kind: name } } },
      });
      expect(await submit(name, about, { bodyHash: 'other', key: 'k' })).toEqual({ verdict: 'mismatch' });
      const scopes = [{ scope: 'user', tiers: [[0, 1_000_000, '0/s']] }] satisfies SubmitRequest['scopes'];
      expect(await submit(name, about, { scopes })).toEqual({ verdict: 'denied' });
    },
  );

  test.each<[Name, About, string]>([
    ['echo', { containerId: 'c1' }, 'quota'],
    ['end', { containerId: 'c1' }, 'accepted'],
    ['trio', { containers: three }, 'quota'],
    ['ask', {}, 'quota'],
  ])('%s when the quota of jobs is full: %s', async (name, about, wanted) => {
    await container('running');
    const verdict = await submit(name, about, { quotas: { jobs: 0, desktops: 9 } });
    expect(verdict.verdict).toBe(wanted);
  });
});

describe('a retry', () => {
  test.each(['queued', 'delayed', 'active', 'completed'])('of a job that is %s is refused', async (state) => {
    const id = await ended('ask', {}, state);
    expect(await retry(id)).toEqual({ verdict: 'unretryable', state });
  });

  test('of no job, or of a job whose kind can not be retried or is unknown, is refused', async () => {
    expect(await retry('none')).toEqual({ verdict: 'not_found' });
    expect(await retry(await ended('final', {}))).toMatchObject({ verdict: 'unretryable' });
    const id = await ended('ask', {});
    await redis.client.hset(keys.job(USER, id), 'kind', 'of a later version');
    expect(await retry(id)).toMatchObject({ verdict: 'unretryable' });
  });

  test.each<[string, () => Promise<[string, () => Promise<unknown>]>]>([
    [
      'its input',
      async () => {
        const id = await ended('ask', {});
        return [id, () => redis.client.del(keys.input(USER, id))];
      },
    ],
    [
      'one of the containers that it created',
      async () => [
        await ended('trio', { containers: three }),
        () => redis.client.del(keys.container(USER, 'b')),
      ],
    ],
    [
      'the container that it is about',
      async () => {
        await container('running');
        const id = await ended('echo', { containerId: 'c1' });
        return [id, () => redis.client.del(keys.container(USER, 'c1'))];
      },
    ],
  ])('of a job that has lost %s changes nothing', async (_what, make) => {
    const [id, forget] = await make();
    await forget();
    const before = await redis.client.hgetall(keys.job(USER, id));
    expect(await retry(id)).toEqual({ verdict: 'forgotten' });
    expect(await redis.client.hgetall(keys.job(USER, id))).toEqual(before);
  });

  test.each<[Name, About]>([
    ['echo', { containerId: 'c1' }],
    ['end', { containerId: 'c1' }],
    ['trio', { containers: three }],
    ['ask', {}],
  ])('%s is a new run in the queue where it waited before, under a later fence', async (name, about) => {
    await container('running', { host: 'h7' });
    const id = await ended(name, about);
    const before = await redis.client.hgetall(keys.job(USER, id));
    expect(await retry(id)).toMatchObject({ verdict: 'accepted', jobId: id, run: 2, queue: before.queue });
    expect(await redis.client.hgetall(keys.job(USER, id))).toMatchObject({ state: 'queued', fence: '2' });
  });
});
