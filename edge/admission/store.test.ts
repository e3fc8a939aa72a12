import { Redis } from '@upstash/redis/cloudflare';
import { containerStart } from '@warmwind/shared/contract/commands/container-start';
import { containerStop } from '@warmwind/shared/contract/commands/container-stop';
import { RateLimitsConfig } from '@warmwind/shared/contract/limits';
import { keys } from '@warmwind/shared/engine/keys';
import type { ChangedRecords } from '@warmwind/shared/engine/records';
import { assignContainer } from '@warmwind/shared/engine/scripts/container.lua';
import { runScript } from '@warmwind/shared/runtime/node/script';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startGateway, type TestGateway, TOKEN } from '../../infra/local/gateway/testing.ts';
import { Limiter } from '../limits/limiter.ts';
import { Queues } from '../queue/queues.ts';
import { SubmissionStore } from './store.ts';
import type { AcceptedJob, NewJob, Submission } from './submission.ts';

let gateway: TestGateway;
let submissions: SubmissionStore;
let queues: Queues;

beforeAll(async () => {
  gateway = await startGateway();
  const redis = new Redis({
    url: gateway.url,
    token: TOKEN,
    automaticDeserialization: false,
    enableAutoPipelining: false,
  });
  const limits = RateLimitsConfig.parse({ user: ['40/min'], 'containers.start': [] });
  queues = new Queues({ url: gateway.url, token: TOKEN, timeoutMs: 5000 }, 1000);
  submissions = new SubmissionStore(redis, redis, new Limiter(redis, limits), queues, false);
});
afterAll(() => gateway?.stop());
beforeEach(() => gateway.redis.client.flushall());

let ids = 0;
const common = {
  userId: 'ada',
  requestId: 'r',
  idempotency: undefined,
  quotas: { jobs: 100, desktops: 100 },
};
const start = (over: Partial<NewJob> = {}): NewJob => ({
  ...common,
  action: 'new',
  command: containerStart,
  lane: 'placements',
  scopes: containerStart.limits,
  containerId: '',
  containers: [{ id: `c${ids++}`, name: 'n', spec: '{}' }],
  input: '',
  ...over,
});
const stop = (containerId: string, over: Partial<NewJob> = {}): NewJob => ({
  ...common,
  action: 'new',
  command: containerStop,
  lane: 'control',
  scopes: containerStop.limits,
  containerId,
  containers: [],
  input: '',
  ...over,
});
const recordsOf = ({ records }: AcceptedJob): ChangedRecords => {
  if (!records) throw new Error('no records');
  return records;
};
const verdict = async (submission: Submission) => (await submissions.decide(submission)).verdict;
const accepted = async (submission: Submission) => {
  const answer = await verdict(submission);
  if (answer.verdict !== 'accepted' && answer.verdict !== 'replayed') throw new Error(answer.verdict);
  return answer;
};
const enqueue = ({ queue, jobId, run, containerId, priority }: AcceptedJob) =>
  submissions.enqueue({
    priority,
    queue,
    kind: 'container.start',
    userId: 'ada',
    jobId,
    run,
    containerId,
    requestId: 'r',
  });
const key = (keyHash: string, requestHash = 'same') => ({ idempotency: { keyHash, requestHash } });

describe('a start', () => {
  test('records the job and the desktop, and counts both as outstanding', async () => {
    const { jobId, containerId } = await accepted(start());
    const { client } = gateway.redis;
    expect(await client.hgetall(keys.job('ada', jobId))).toMatchObject({
      id: jobId,
      state: 'queued',
      run: '1',
      containerId,
    });
    expect(await client.hgetall(keys.container('ada', containerId))).toMatchObject({
      id: containerId,
      state: 'requested',
      fence: '0',
      jobId,
    });
    expect(await client.zcard(keys.openJobs('ada'))).toBe(1);
    expect(await client.zcard(keys.openContainers('ada'))).toBe(1);
  });

  test('with the same key from twenty clients at once is one job', async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => accepted(start(key('k')))));
    expect(new Set(answers.map(({ jobId }) => jobId)).size).toBe(1);
    expect(answers.filter(({ verdict }) => verdict === 'accepted')).toHaveLength(1);
    expect(await gateway.redis.client.zcard(keys.jobs('ada'))).toBe(1);
  });

  test('with the key of another request is a mismatch; the keys of users are separate', async () => {
    await accepted(start(key('k')));
    expect(await verdict(start(key('k', 'other')))).toEqual({ verdict: 'mismatch' });
    expect(await verdict(start({ ...key('k', 'other'), userId: 'bob' }))).toMatchObject({
      verdict: 'accepted',
    });
  });

  test('whose run is added twice is in its queue once', async () => {
    const job = await accepted(start());
    await enqueue(job);
    await enqueue(job);
    expect(await queues.get('containers').getJobCounts()).toMatchObject({ prioritized: 1 });
  });

  test('that is withdrawn leaves nothing, unless a worker has taken its job', async () => {
    const submission = start(key('k'));
    const job = await accepted(submission);
    await submissions.withdraw(submission, job.jobId, recordsOf(job));
    const kept = (await gateway.redis.client.keys('*')).filter((name) => !name.includes(':limit:'));
    expect(kept).toEqual([]);

    const taken = await accepted(submission);
    await gateway.redis.client.hset(keys.job('ada', taken.jobId), 'fence', '1');
    await submissions.withdraw(submission, taken.jobId, recordsOf(taken));
    expect(await gateway.redis.client.exists(keys.job('ada', taken.jobId))).toBe(1);
    expect(await verdict(start(key('k')))).toMatchObject({ verdict: 'replayed', jobId: taken.jobId });
  });

  test('over a full quota is refused and records nothing; a replay is not a new job', async () => {
    const quotas = { jobs: 100, desktops: 1 };
    const first = await accepted(start({ ...key('k'), quotas }));
    expect(await verdict(start({ quotas }))).toEqual({
      verdict: 'quota',
      name: 'desktops',
      limit: 1,
      used: 1,
    });
    expect(await accepted(start({ ...key('k'), quotas }))).toMatchObject({
      verdict: 'replayed',
      jobId: first.jobId,
    });
    expect(await gateway.redis.client.zcard(keys.jobs('ada'))).toBe(1);
  });

  test('never exceeds a quota when many are sent at once', async () => {
    const quotas = { jobs: 3, desktops: 100 };
    const answers = await Promise.all(Array.from({ length: 12 }, () => verdict(start({ quotas }))));
    expect(answers.filter(({ verdict }) => verdict === 'accepted')).toHaveLength(3);
  });

  test('that is denied records nothing', async () => {
    for (let i = 0; i < 40; i += 1) await accepted(start(key('k')));
    const { decision, verdict } = await submissions.decide(start());
    expect([decision.allowed, verdict]).toEqual([false, { verdict: 'denied' }]);
    expect(await gateway.redis.client.zcard(keys.jobs('ada'))).toBe(1);
  });
});

describe('a submission without scopes', () => {
  test('is neither charged nor denied', async () => {
    for (let i = 0; i < 41; i += 1) await accepted(start({ ...key('k'), scopes: [] }));
    expect(await gateway.redis.client.exists(keys.limit('ada', 'user'))).toBe(0);
  });
});

describe('a stop', () => {
  test('before placement marks the desktop, so that no host is assigned', async () => {
    const { containerId } = await accepted(start());
    expect(await accepted(stop(containerId))).toMatchObject({ verdict: 'accepted', queue: 'containers' });
    const record = keys.container('ada', containerId);
    expect(await gateway.redis.client.hget(record, 'state')).toBe('stopping');
    const place = { fence: 0, host: 'h', boot: 'b', instanceId: 'i', ttlMs: 60_000 };
    const placed = await runScript(
      gateway.redis.client,
      assignContainer,
      { userId: 'ada', containerId },
      place,
    );
    expect(placed).toEqual(['taken', 'stopping', '', '', '0']);
  });

  test('of a placed desktop goes to its host', async () => {
    const { containerId } = await accepted(start());
    const place = { fence: 0, host: 'h7', boot: 'b', instanceId: 'i', ttlMs: 60_000 };
    await runScript(gateway.redis.client, assignContainer, { userId: 'ada', containerId }, place);
    expect(await accepted(stop(containerId))).toMatchObject({ queue: 'containers-h7' });
  });

  test('that is repeated is the same job while that one is outstanding, and a new one after', async () => {
    const { containerId } = await accepted(start());
    const first = await accepted(stop(containerId));
    expect(await accepted(stop(containerId))).toMatchObject({ verdict: 'replayed', jobId: first.jobId });
    await gateway.redis.client.hset(keys.job('ada', first.jobId), 'state', 'failed');
    expect((await accepted(stop(containerId))).jobId).not.toBe(first.jobId);
  });

  test.each(['stopped', 'failed', 'lost'])(
    'of a %s desktop reports the state and creates no job',
    async (state) => {
      const { containerId } = await accepted(start());
      await gateway.redis.client.hset(keys.container('ada', containerId), 'state', state);
      expect(await verdict(stop(containerId))).toEqual({ verdict: 'ended', state });
      expect(await gateway.redis.client.zcard(keys.jobs('ada'))).toBe(1);
    },
  );

  test("of another user's desktop or of none is not found", async () => {
    const { containerId } = await accepted(start());
    expect(await verdict(stop(containerId, { userId: 'bob' }))).toEqual({ verdict: 'not_found' });
    expect(await verdict(stop('none'))).toEqual({ verdict: 'not_found' });
  });
});
