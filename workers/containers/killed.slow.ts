import type { ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { hasEnded } from '@warmwind/shared/contract/containers';
import { isTerminal } from '@warmwind/shared/contract/jobs';
import { HostResources } from '@warmwind/shared/contract/resources';
import { keys } from '@warmwind/shared/engine/keys';
import { assignContainer } from '@warmwind/shared/engine/scripts/container.lua';
import { parseJson } from '@warmwind/shared/runtime/json';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { ENGINE_WITHIN_MS } from '../../infra/quality/testing/docker.ts';
import { type EngineProxy, startEngineProxy } from '../../infra/quality/testing/engine-proxy.ts';
import { freePort } from '../../infra/quality/testing/port.ts';
import { type RedisProxy, resp, startRedisProxy } from '../../infra/quality/testing/redis-proxy.ts';
import type { Stall, StallPoint } from '../../infra/quality/testing/stall.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { createFleet, type Fleet, killed, reached } from '../testing/fleet.ts';
import { POOLED, withPool } from '../testing/pool.ts';
import { LABELS } from './spec.ts';

/** A worker is killed at each step of what it does to a desktop; the next one leaves exactly what the records name. */
let fleet: Fleet;
let engine: EngineProxy;
let redis: RedisProxy;
let worker: ChildProcess | undefined;

const WITHIN_MS = 120_000;
const RUN_MS = 400_000;

beforeAll(async () => {
  fleet = await createFleet();
  engine = await startEngineProxy(fleet.env('a').DOCKER_SOCKET);
  redis = await startRedisProxy(fleet.queueRedis.port);
  await fleet.queueRedis.client.script('LOAD', assignContainer.lua);
}, ENGINE_WITHIN_MS);
afterAll(async () => {
  await fleet?.stop();
  await engine?.stop();
  redis?.stop();
});
afterEach(async () => {
  if (worker) await killed(worker);
});

const start = (proxied: boolean, env: Record<string, string> = {}) => {
  const through = { DOCKER_SOCKET: engine.socket, REDIS_QUEUE_URL: redis.url };
  const sooner = { LOCK_MS: '1500', STALLED_EVERY_MS: '500' };
  worker = fleet.process('a', { ...sooner, ...(proxied ? through : {}), ...env });
};

type Step = [name: string, stall: (point: StallPoint) => Stall, point: StallPoint];
const state = (name: string) => (point: StallPoint) => redis.stallAt(resp('state', name), point);
const call = (method: string, path: RegExp) => (point: StallPoint) => engine.stallAt({ method, path }, point);
const placement = createHash('sha1').update(assignContainer.lua).digest('hex');

const CREATE = call('POST', /\/containers\/create/);
const START = call('POST', /\/containers\/[^/]+\/start/);
const STOP = call('POST', /\/containers\/[^/]+\/stop/);
const UPDATE = call('POST', /\/containers\/[^/]+\/update/);
const PAUSE = call('POST', /\/containers\/[^/]+\/pause/);
const UNPAUSE = call('POST', /\/containers\/[^/]+\/unpause/);
const REMOVE = call('DELETE', /\/containers\//);
const REMOVE_VOLUME = call('DELETE', /\/volumes\//);

const STEPS_OF_START: Step[] = [
  ['before its placement is recorded', (point) => redis.stallAt(placement, point), 'before'],
  [
    'when Redis has its placement, and the ledger does not',
    (point) => redis.stallAt(placement, point),
    'after',
  ],
  ['when it is placed', CREATE, 'before'],
  ['when it is created', CREATE, 'after'],
  ['before it is started', START, 'before'],
  ['when it is started', START, 'after'],
  ['when its screen has greeted', state('running'), 'before'],
  ['when it is recorded as running', state('running'), 'after'],
];

const STEPS_OF_WARM_START: Step[] = [
  [
    'when Redis has its placement, and the ledger does not',
    (point) => redis.stallAt(placement, point),
    'after',
  ],
  ['before its memory is changed', UPDATE, 'before'],
  ['when its memory is changed', UPDATE, 'after'],
  ['before it is recorded as running', state('running'), 'before'],
  ['when it is recorded as running', state('running'), 'after'],
];

const STEPS_OF_PAUSE: Step[] = [
  ['before it is recorded', state('paused'), 'before'],
  ['when it is recorded', state('paused'), 'after'],
  ['before the engine is asked', PAUSE, 'before'],
  ['when the engine has done it', PAUSE, 'after'],
];

const STEPS_OF_RESUME: Step[] = [
  ['before it is recorded', state('running'), 'before'],
  ['when it is recorded', state('running'), 'after'],
  ['before the engine is asked', UNPAUSE, 'before'],
  ['when the engine has done it', UNPAUSE, 'after'],
];

const STEPS_OF_STOP: Step[] = [
  ['before its stop is recorded', state('stopping'), 'before'],
  ['when its stop is recorded', state('stopping'), 'after'],
  ['before it is stopped', STOP, 'before'],
  ['when it is stopped', STOP, 'after'],
  ['before it is removed', REMOVE, 'before'],
  ['when it is removed', REMOVE, 'after'],
  ['before its volume is removed', REMOVE_VOLUME, 'before'],
  ['when its volume is removed', REMOVE_VOLUME, 'after'],
  ['before its end is recorded', state('stopped'), 'before'],
  ['when its end is recorded', state('stopped'), 'after'],
];

test.each(STEPS_OF_START)(
  'a start whose worker is killed %s completes in one container',
  async (_, stall, point) => {
    start(true);
    const { reached: stalled } = stall(point);
    const job = await fleet.startDesktop({ memoryMb: 256 });
    await stalled;
    await restarted();
    await reached(fleet, job, 'completed', WITHIN_MS);
    await agreed();
    expect(await fleet.container(job)).toMatchObject({ state: 'running' });
    await reached(fleet, await fleet.stopDesktop(job), 'completed', WITHIN_MS);
    await agreed();
  },
  RUN_MS,
);

test.each(STEPS_OF_STOP)(
  'a stop whose worker is killed %s completes and leaves nothing',
  async (_, stall, point) => {
    start(true);
    const job = await fleet.startDesktop({ memoryMb: 256 });
    await reached(fleet, job, 'completed', WITHIN_MS);
    const { reached: stalled } = stall(point);
    const stop = await fleet.stopDesktop(job);
    await stalled;
    await restarted();
    await reached(fleet, stop, 'completed', WITHIN_MS);
    await agreed();
    expect(await fleet.container(job)).toMatchObject({ state: 'stopped' });
  },
  RUN_MS,
);

test.each(STEPS_OF_WARM_START)(
  'a warm start whose worker is killed %s completes in one container',
  async (_, stall, point) => {
    const port = await freePort();
    start(true, { ...withPool(fleet), PORT: String(port) });
    await filled(port);
    const { reached: stalled } = stall(point);
    const job = await fleet.startDesktop({ ...POOLED, memoryMb: 384, width: 1024, height: 768 });
    await stalled;
    if (worker) await killed(worker);
    start(false, { ...withPool(fleet), PORT: String(port) });
    await reached(fleet, job, 'completed', WITHIN_MS);
    await agreed(1);
    expect(await fleet.container(job)).toMatchObject({ state: 'running', width: 1024 });
    await reached(fleet, await fleet.stopDesktop(job), 'completed', WITHIN_MS);
    await agreed(1);
    // Without a pool, nothing of the one before is left.
    await restarted();
    await agreed();
  },
  RUN_MS,
);

test.each(STEPS_OF_PAUSE)(
  'a pause whose worker is killed %s completes',
  async (_, stall, point) => {
    const job = await running();
    const { reached: stalled } = stall(point);
    const pause = await fleet.pauseDesktop(job);
    await stalled;
    await restarted();
    await reached(fleet, pause, 'completed', WITHIN_MS);
    await agreed();
    expect(await fleet.container(job)).toMatchObject({ state: 'paused' });
    await reached(fleet, await fleet.stopDesktop(job), 'completed', WITHIN_MS);
    await agreed();
  },
  RUN_MS,
);

test.each(STEPS_OF_RESUME)(
  'a resumption whose worker is killed %s completes',
  async (_, stall, point) => {
    const job = await running();
    await reached(fleet, await fleet.pauseDesktop(job), 'completed', WITHIN_MS);
    const { reached: stalled } = stall(point);
    const resumption = await fleet.resumeDesktop(job);
    await stalled;
    await restarted();
    await reached(fleet, resumption, 'completed', WITHIN_MS);
    await agreed();
    expect(await fleet.container(job)).toMatchObject({ state: 'running' });
    await reached(fleet, await fleet.stopDesktop(job), 'completed', WITHIN_MS);
    await agreed();
  },
  RUN_MS,
);

/** Starts a desktop through the proxies. */
async function running() {
  start(true);
  const job = await fleet.startDesktop({ memoryMb: 256 });
  await reached(fleet, job, 'completed', WITHIN_MS);
  return job;
}

/** Waits until the pool of the worker on this port has an instance. */
async function filled(port: number): Promise<void> {
  const metrics = () => fetch(`http://127.0.0.1:${port}/metrics`).then((answer) => answer.text());
  const isFilled = async () => /^warmwind_warm_pool_instances.* 1$/m.test(await metrics().catch(() => ''));
  await waitFor('an instance in the pool', isFilled, WITHIN_MS);
}

/** Kills the worker where it is, and starts another. */
async function restarted(): Promise<void> {
  if (worker) await killed(worker);
  start(false);
}

/**
 * Waits until engine, reservations and ledger hold exactly the desktops that their records say run.
 * @param pooled how many instances the pool has besides
 */
async function agreed(pooled = 0): Promise<void> {
  let differences = ['not compared'];
  await waitFor(
    'records and engine to agree',
    async () => {
      differences = await compare(pooled);
      return differences.length === 0;
    },
    WITHIN_MS,
  ).catch((error: Error) => {
    throw new Error(`${error.message}: ${differences.join('; ')}`);
  });
}

async function compare(pooled: number): Promise<string[]> {
  const { client } = fleet.queueRedis;
  const rows = await fleet.postgres.sql<
    { id: string; user_id: string; state: string; instance_id: string }[]
  >`
    select id, user_id, state, instance_id from containers`;
  const differences: string[] = [];
  const live: Record<string, string> = {};
  for (const { id, user_id, state: ofRow, instance_id } of rows) {
    const record = await client.hgetall(keys.container(user_id, id));
    if (record.state !== ofRow)
      differences.push(`${id} is ${record.state} in Redis and ${ofRow} in the ledger`);
    if (!hasEnded(record.state as Parameters<typeof hasEnded>[0])) live[instance_id] = record.state ?? '';
  }
  const onEngine = Object.fromEntries(
    (await fleet.containers()).map(({ Labels, State }) => [Labels[LABELS.instance] ?? '', State]),
  );
  const volumes = [...new Set((await fleet.volumes()).map(({ Labels }) => Labels?.[LABELS.instance] ?? ''))];
  const [resources] = Object.values(await client.hgetall(keys.hostResources()));
  const machine = resources ? parseJson(HostResources, resources).machine : '';
  const reserved = await client.hkeys(keys.reservations(machine));
  const members = await client.smembers(keys.hostContainers('a'));
  const free = Object.keys(onEngine).filter((instance) => !(instance in live));
  const ofDesktops = Object.entries(onEngine).filter(([instance]) => instance in live);
  if (JSON.stringify(ofDesktops.sort()) !== JSON.stringify(Object.entries(live).sort()))
    differences.push(`records ${JSON.stringify(live)}, engine ${JSON.stringify(onEngine)}`);
  if (free.length !== pooled) differences.push(`instances without a desktop: ${free.join()}`);
  const wanted = Object.keys(onEngine).sort().join();
  if (volumes.sort().join() !== wanted) differences.push(`volumes ${volumes.join()}`);
  if (reserved.sort().join() !== wanted) differences.push(`reservations ${reserved.join()}`);
  if (members.length !== Object.keys(live).length) differences.push(`listed on the host: ${members.join()}`);
  return [...differences, ...(await openEntries(rows))];
}

/** Quotas count what has not ended, and nothing waits. */
async function openEntries(rows: { id: string; user_id: string; state: string }[]): Promise<string[]> {
  const { client } = fleet.queueRedis;
  const entries: string[] = [];
  for (const { id, user_id, state: ofRow } of rows) {
    const counted = await client.zscore(keys.openContainers(user_id), id);
    if ((ofRow === 'running' || ofRow === 'paused') !== (counted !== null))
      entries.push(`${id} ${ofRow} counts: ${counted !== null}`);
    const jobs = await client.zcard(keys.openJobs(user_id));
    if (jobs > 0) entries.push(`${jobs} jobs of ${user_id} count`);
  }
  const { sql } = fleet.postgres;
  for (const { id, state: ofJob } of await sql<{ id: string; state: Parameters<typeof isTerminal>[0] }[]>`
    select id, state from jobs`)
    if (!isTerminal(ofJob)) entries.push(`job ${id} is ${ofJob}`);
  for (const key of [keys.changedUsers(), keys.unpublishedEnds(), keys.cancellations()])
    if ((await client.zcard(key)) > 0) entries.push(`${key} has members`);
  return entries;
}
