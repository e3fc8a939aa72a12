import { setTimeout as sleep } from 'node:timers/promises';
import { keys } from '@warmwind/shared/engine/keys';
import type { Redis } from 'ioredis';
import type { Ask } from './client.ts';
import { Counts } from './counts.ts';
import type { Load } from './load.ts';
import type { Pair } from './queue.ts';
import type { Random } from './random.ts';
import type { World } from './world.ts';

export const SCENARIOS = ['flush', 'failover', 'postgres', 'both', 'jobs'] as const;
export type Scenario = (typeof SCENARIOS)[number];

/** The faults of a run and their consequences. */
export type Faults = {
  /** One line for each fault. */
  recorded: string[];
  /** Records of acknowledged jobs that the queue Redis had and lost. */
  lost: number;
  workersKilled: number;
  /** When the realtime Redis was last restarted empty, Unix ms: rooms from before are lost. */
  roomsSince: number;
  reconciled: Counts;
};

/** Sentinels promote no replica that was disconnected for more than ten times `down-after-milliseconds`. */
const PARTITION_MS = 10_000;

type Context = { world: World; load: Load; random: Random; faults: Faults; report: (line: string) => void };
/** A fault that is injected when the share `at` of all submissions is acknowledged. */
type Fault = { at: number; run: (context: Context) => Promise<void> };

/** Injects the faults of a scenario while the load runs, and kills a worker `kills` times in parallel. */
export async function inflict(
  scenario: Scenario,
  kills: number,
  { world, load, random, report }: Omit<Context, 'faults'>,
): Promise<Faults> {
  const faults: Faults = { recorded: [], lost: 0, workersKilled: 0, roomsSince: 0, reconciled: new Counts() };
  const context: Context = {
    world,
    load,
    random,
    faults,
    report: (line) => {
      faults.recorded.push(line);
      report(line);
    },
  };
  const ofWorkers = Array.from({ length: kills }, () => killWorker(random)).sort((a, b) => a.at - b.at);
  await Promise.all([inOrder(PLANS[scenario](random), context), inOrder(ofWorkers, context)]);
  return faults;
}

async function inOrder(plan: Fault[], context: Context): Promise<void> {
  for (const { at, run } of plan) {
    await context.load.reached(at);
    await run(context);
  }
}

const between = (random: Random, from: number, to: number): number => from + random.next() * (to - from);

const PLANS: Record<Scenario, (random: Random) => Fault[]> = {
  flush: (random) => [
    { at: between(random, 0.2, 0.45), run: flush },
    { at: between(random, 0.55, 0.8), run: flush },
  ],
  failover: (random) => [{ at: between(random, 0.2, 0.6), run: (context) => failOver(context, false) }],
  postgres: (random) => [
    { at: between(random, 0.15, 0.3), run: killPostgres },
    { at: between(random, 0.35, 0.4), run: killPooler },
    { at: between(random, 0.4, 0.5), run: freezePostgres },
    { at: between(random, 0.6, 0.8), run: killPostgres },
  ],
  both: (random) => [{ at: between(random, 0.2, 0.6), run: (context) => failOver(context, true) }],
  jobs: (random) => [
    { at: between(random, 0.1, 0.2), run: crashQueue },
    { at: between(random, 0.3, 0.4), run: crashQueue },
    { at: between(random, 0.45, 0.55), run: crashRealtime },
    { at: between(random, 0.6, 0.7), run: crashQueue },
    { at: between(random, 0.8, 0.9), run: crashQueue },
  ],
};

async function flush({ world, load, faults, report }: Context): Promise<void> {
  const { client } = world.queue;
  const before = await keysOf(client, load.acknowledged);
  await client.flushall();
  faults.lost += before.size;
  report(`FLUSHALL: ${before.size} records of acknowledged jobs are gone, ${openOf(before)} of them open`);
}

/** Kills the queue Redis and restarts it with its log: no acknowledged write may be lost. */
async function crashQueue({ world, load, random, faults, report }: Context): Promise<void> {
  const awayMs = random.int(0, 2500);
  const asked = load.acknowledged;
  const before = await keysOf(world.queue.client, asked);
  await world.queue.crash(awayMs);
  const after = await keysOf(world.queue.client, asked);
  const lost = [...before.keys()].filter((id) => !after.has(id)).length;
  faults.lost += lost;
  report(
    `the queue Redis was killed and restarted after ${awayMs} ms: ${openOf(before)} jobs were open, ${lost} are lost`,
  );
}

/** Kills the realtime Redis and restarts it without a log: every room is empty. */
async function crashRealtime({ world, random, faults, report }: Context): Promise<void> {
  const awayMs = random.int(0, 2500);
  await world.realtime.kill();
  await sleep(awayMs);
  await world.realtime.restart();
  faults.roomsSince = Date.now();
  report(`the realtime Redis was killed and restarted empty after ${awayMs} ms`);
}

/** Lets the replica fall behind, then kills the master so that the replica is promoted. */
async function failOver(context: Context, withPostgres: boolean): Promise<void> {
  const { world, load, random, faults, report } = context;
  const pair = world.queue.pair as Pair;
  const wanted = random.int(3, 12);
  await pair.partition();
  const { onMaster, onReplica, missing } = await behind(world, load, pair, wanted);
  const postgres = withPostgres ? killPostgres(context) : undefined;
  const since = Date.now();
  await pair.failOver();
  const older = [...onReplica].filter(([id, state]) => onMaster.has(id) && onMaster.get(id) !== state).length;
  faults.lost += missing;
  report(
    `the master was killed and its replica promoted within ${Date.now() - since} ms: it lacks ${missing} acknowledged jobs and has ${older} in an older state`,
  );
  await postgres;
  await sleep(random.int(500, 3000));
  await pair.rejoin();
  report('the old master is restarted');
}

/** Waits until the replica lacks `wanted` acknowledged jobs, while the Sentinels would still promote it. */
async function behind({ queue }: World, load: Load, { replica }: Pair, wanted: number) {
  const deadline = Date.now() + PARTITION_MS;
  for (;;) {
    const asked = load.acknowledged;
    const [onMaster, onReplica] = await Promise.all([keysOf(queue.client, asked), keysOf(replica, asked)]);
    const missing = [...onMaster.keys()].filter((id) => !onReplica.has(id)).length;
    if (missing >= wanted || load.done || Date.now() > deadline) return { onMaster, onReplica, missing };
    await sleep(100);
  }
}

async function killPostgres({ world, random, report }: Context): Promise<void> {
  const awayMs = random.int(1000, 5000);
  report('PostgreSQL is killed');
  await world.postgres.kill();
  await sleep(awayMs);
  await world.postgres.restart();
  report(`PostgreSQL is restarted after ${awayMs} ms`);
}

async function freezePostgres({ world, random, report }: Context): Promise<void> {
  const frozenMs = random.int(2000, 6000);
  report('PostgreSQL is frozen');
  world.postgres.freeze();
  await sleep(frozenMs);
  world.postgres.thaw();
  report(`PostgreSQL continues after ${frozenMs} ms`);
}

async function killPooler({ world, random, report }: Context): Promise<void> {
  const awayMs = random.int(0, 2000);
  await world.pooler.kill();
  await sleep(awayMs);
  await world.pooler.restart();
  report(`the pooler was killed and restarted after ${awayMs} ms`);
}

function killWorker(random: Random): Fault {
  const signal = random.pick<'SIGKILL' | 'SIGTERM'>(['SIGKILL', 'SIGTERM']);
  const which = random.next();
  const awayMs = random.int(0, 2500);
  return {
    at: between(random, 0.1, 0.9),
    run: async ({ world, faults, report }) => {
      const worker = world.workers[Math.floor(which * world.workers.length)];
      if (!worker) return;
      await faults.reconciled.take(worker);
      report(`${worker.name} gets ${signal}`);
      await worker.end(signal);
      faults.workersKilled += 1;
      await sleep(awayMs);
      await worker.start();
      report(`${worker.name} is restarted`);
    },
  };
}

/** @returns the states of those of these jobs that a Redis has a record of, by id */
async function keysOf(redis: Redis, asks: Ask[]): Promise<Map<string, string>> {
  const jobs = asks.flatMap(({ user, jobIds }) => [...jobIds].map((id) => ({ user, id })));
  const pipeline = redis.pipeline();
  for (const { user, id } of jobs) pipeline.hget(keys.job(user, id), 'state');
  const answers = (await pipeline.exec()) ?? [];
  return new Map(
    jobs.flatMap(({ id }, i) => {
      const state = answers[i]?.[1];
      return typeof state === 'string' ? [[id, state] as const] : [];
    }),
  );
}

const openOf = (states: Map<string, string>): number =>
  [...states.values()].filter((state) => ['queued', 'delayed', 'active'].includes(state)).length;
