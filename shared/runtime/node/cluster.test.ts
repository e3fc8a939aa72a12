import { Queue } from 'bullmq';
import { Cluster } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startRedis, type TestRedis } from '../../../infra/quality/testing/redis.ts';
import { waitFor } from '../../../infra/quality/testing/wait.ts';
import { containerStart } from '../../contract/commands/container-start.ts';
import { CANCEL_PLANS, planOf, SUBMIT_PLANS } from '../../contract/plan.ts';
import { CANCELLED_CHANNEL, keys, recordPrefixes, roomKeys } from '../../engine/keys.ts';
import { appendEvents } from '../../engine/node/event-log.ts';
import { QUEUES } from '../../engine/queues.ts';
import { cancelKeys, type SubmitRequest, submitKeys } from '../../engine/records.ts';
import { cancelScript } from '../../engine/scripts/cancel.lua.ts';
import { assignContainer, changeContainer, unassignContainer } from '../../engine/scripts/container.lua.ts';
import { changeJob, claimJob } from '../../engine/scripts/job.lua.ts';
import { limitScript } from '../../engine/scripts/limit.lua.ts';
import { listRecords } from '../../engine/scripts/list.lua.ts';
import { restoreRecord } from '../../engine/scripts/restore.lua.ts';
import { submitScript } from '../../engine/scripts/submit.lua.ts';
import { withdrawJob } from '../../engine/scripts/withdraw.lua.ts';

let redis: TestRedis;
let cluster: Cluster;

beforeAll(async () => {
  redis = await startRedis(['--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1']);
  await redis.client.call('CLUSTER', 'ADDSLOTSRANGE', '0', '16383');
  await waitFor('the cluster to be ok', async () =>
    String(await redis.client.cluster('INFO')).includes('state:ok'),
  );
  cluster = new Cluster([{ host: '127.0.0.1', port: redis.port }]);
});
afterAll(async () => {
  cluster?.disconnect();
  await redis?.stop();
});

const user = 'auth0|u.1';
const prefixes = recordPrefixes(user);
const scopes = [keys.limit(user, 'user'), keys.limit(user, 'containers.start')];
const request = {
  plan: planOf(containerStart, 'placements'),
  nonce: 'n1',
  scopes: [
    { scope: 'user', tiers: [[10, 1_000_000, '10/s']] },
    { scope: 'containers.start', tiers: [[9, 1_000_000, '9/s']] },
  ],
  bodyHash: 'h',
  userId: user,
  job: { id: 'j1', kind: 'container.start', requestId: 'r1' },
  containers: [{ id: 'c1', name: 'n', spec: '{"a":1}' }],
  quotas: { jobs: 5, desktops: 5 },
  openTtlMs: 60_000,
  unconfirmedTtlMs: { record: 60_000, key: 60_000 },
  reservationMs: 60_000,
  prefixes,
} satisfies SubmitRequest;

test('every script uses keys of one slot of a Redis Cluster', async () => {
  const evaluate = (script: string, names: string[], args: (string | number)[]) =>
    cluster.eval(script, names.length, ...names, ...args);

  const peek = { nonce: 'n0', consume: false, scopes: request.scopes };
  expect(await evaluate(limitScript, scopes, [JSON.stringify(peek)])).toHaveLength(4);

  const submit = async (asked: SubmitRequest, input = '') => {
    const of = { jobId: asked.job.id, idempotencyHash: asked.job.id };
    const names = submitKeys(user, ['user', 'containers.start'], of);
    const [, verdict] = (await evaluate(submitScript, names, [JSON.stringify(asked), input])) as string[];
    return JSON.parse(verdict ?? '');
  };
  expect(await submit(request)).toMatchObject({ verdict: 'accepted', jobId: 'j1', containerId: 'c1' });

  const job = [keys.job(user, 'j1'), keys.openJobs(user), keys.changes(user)];
  const desktop = [keys.openContainers(user), keys.input(user, 'j1')];
  const claim = ['1', 1, 0, 60_000, 2, 10, prefixes.container];
  expect(await evaluate(claimJob.lua, [...job, ...desktop], claim)).toEqual(['ok', '1', '0', '', '']);
  expect(
    await evaluate(assignContainer.lua, [keys.container(user, 'c1')], ['0', 'h', 'b', 'i', 60_000]),
  ).toEqual(['ok', '1']);
  expect(await evaluate(unassignContainer.lua, [keys.container(user, 'c1')], ['1', 'other'])).toEqual([
    'kept',
  ]);
  const change = [keys.container(user, 'c1'), keys.openContainers(user), keys.changes(user)];
  expect(
    await evaluate(changeContainer.lua, change, ['1', 'starting', 60_000, '', 10, '', 'state', 'stopped']),
  ).toEqual(['ok']);
  expect(
    await evaluate(
      changeJob.lua,
      [...job, keys.input(user, 'j1')],
      ['1', '1', 60_000, 10, 'state', 'failed'],
    ),
  ).toEqual(['ok', '', '1', '0']);
  expect(await cluster.xlen(keys.changes(user))).toBe(3);

  const { openTtlMs, unconfirmedTtlMs, reservationMs, userId, quotas, scopes: tiers } = request;
  const common = { openTtlMs, unconfirmedTtlMs, reservationMs, userId, quotas, prefixes, scopes: tiers };
  const again = { id: 'j1', requestId: 'r2' };
  const retry = { ...common, plans: SUBMIT_PLANS, nonce: 'n2', job: again, newIds: ['c2'] };
  expect(await submit({ ...retry, maxChanges: 10, keyTtlMs: 60_000, bodyHash: 'h2' })).toMatchObject({
    verdict: 'mismatch',
  });
  expect(await submit({ ...retry, nonce: 'n3', maxChanges: 10, keyTtlMs: 60_000 })).toMatchObject({
    verdict: 'accepted',
    run: 2,
    containerId: 'c2',
    records: { containers: [{ record: { state: 'requested', spec: '{"a":1}' } }] },
  });
  const cancel = [
    user,
    'j1',
    60_000,
    60_000,
    10,
    CANCELLED_CHANNEL,
    JSON.stringify(CANCEL_PLANS),
    prefixes.container,
  ];
  const cancelled = JSON.parse(String(await evaluate(cancelScript, cancelKeys(user, 'j1'), cancel)));
  expect(cancelled).toMatchObject({
    verdict: 'cancelled',
    job: { record: { state: 'cancelled', run: '2' } },
    containers: [{ record: { id: 'c2', state: 'stopping' } }],
  });

  const lost = [keys.job(user, 'j2'), keys.jobs(user), keys.openJobs(user)];
  expect(await evaluate(restoreRecord.lua, lost, ['j2', 1, 1, 60_000, '', 'id', 'j2'])).toEqual(['restored']);
  const records = submitKeys(user, [], { jobId: 'j1' });
  expect(await evaluate(withdrawJob.lua, records, ['j1', prefixes.container, 'c1'])).toEqual(['kept']);
  expect(
    await evaluate(listRecords.lua, [keys.jobs(user)], [keys.job(user, ''), 10, 100, '-inf', '+inf', '']),
  ).toHaveLength(3);
});

test('events are appended to the logs of a job and its owner in one step in a Redis Cluster', async () => {
  const event = {
    type: 'job.queued' as const,
    run: 1,
    time: new Date().toISOString(),
    data: { jobId: 'j1', kind: 'inference' as const },
  };
  const subject = { userId: user, room: 'job:j1' as const };
  // biome-ignore lint/suspicious/noExplicitAny: Cluster has the commands of Redis that this needs, but not its type
  expect(await appendEvents(cluster as any, subject, [{ event, token: 'queued:1' }], 1)).toBe(1);
  expect(await cluster.xlen(roomKeys.log(user, `user:${user}`))).toBe(1);
});

test('every queue works in a Redis Cluster: its keys are in one slot', async () => {
  for (const name of QUEUES) {
    const queue = new Queue(name, { connection: cluster, prefix: keys.bullmqPrefix(name) });
    await queue.add('x', {}, { priority: 1 });
    expect(await queue.getJobCountByTypes('prioritized')).toBe(1);
    await queue.close();
  }
});
