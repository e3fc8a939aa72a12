import { createHash } from 'node:crypto';
import { isTerminal, TERMINAL_JOB_STATES } from '@warmwind/shared/contract/jobs';
import { isTerminalEvent, type StoredEvent } from '@warmwind/shared/contract/rooms';
import { keys, roomKeys } from '@warmwind/shared/engine/keys';
import { readDepths } from '@warmwind/shared/engine/node/depths';
import { hostQueues, JOB_QUEUES } from '@warmwind/shared/engine/queues';
import type { Redis } from 'ioredis';
import type { Ask } from './client.ts';
import { type ContainerCounts, checkContainerInvariants } from './container-invariants.ts';
import { JobLoad } from './jobs.ts';
import type { Load, Observation } from './load.ts';
import { checkReceivedEvents, type ReceivedEvents } from './received-events.ts';
import type { EndRow, JobRow, Violate } from './violations.ts';
import type { World } from './world.ts';

/** How long a system may take to finish all work after its load, ms. */
const QUIET_WITHIN_MS = 120_000;
const LOOK_EVERY_MS = 500;
/** How long a user may be marked for the drain, ms. */
const LEFT_WITHIN_MS = 10_000;

/** A violated invariant, with the job or desktop and the details. */
export type Violation = Observation;
export type Verdict = {
  violations: Violation[];
  containers: ContainerCounts;
  /** Of jobs with watchers and webhooks. */
  received: ReceivedEvents | undefined;
  jobs: number;
  /** How long the system took to finish all work, ms; undefined when it did not in time. */
  quietMs: number | undefined;
};

/**
 * Waits until every acknowledged job has ended and the ledger has every change.
 * @returns how long it took, ms
 */
export async function untilQuiet(world: World, load: Load): Promise<number | undefined> {
  const since = Date.now();
  const wanted = new Set(load.acknowledged.flatMap(({ jobIds }) => [...jobIds]));
  while (Date.now() - since < QUIET_WITHIN_MS) {
    const ended = await world.postgres.sql<
      { id: string }[]
    >`select id from jobs where finished_at is not null`;
    const [{ open } = { open: 1 }] = await world.postgres.sql<{ open: number }[]>`
      select count(*)::int as open from jobs where finished_at is null`;
    const unmoved = await world.queue.client.zcard(keys.changedUsers());
    const known = new Set(ended.map(({ id }) => id));
    const done = open === 0 && unmoved === 0 && [...wanted].every((id) => known.has(id));
    if (done && (!(load instanceof JobLoad) || (await queuesEmpty(world)))) return Date.now() - since;
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
  return undefined;
}

/**
 * Checks every invariant in a world that has finished its work.
 * @param roomsSince runs that ended before this may have had their events in rooms that are lost, Unix ms
 */
export async function checkInvariants(
  world: World,
  load: Load,
  roomsSince: number,
  quietMs: number | undefined,
): Promise<Verdict> {
  const violations: Violation[] = [...load.observations];
  const violate = (invariant: string, subject: string, detail: string) =>
    violations.push({ invariant, subject, detail });
  if (quietMs === undefined) violate('everything ends', '', `not quiet within ${QUIET_WITHIN_MS} ms`);

  for (const { name, crashes } of [world.gateway, world.relay, ...world.workers]) {
    for (const crash of crashes) violate('no service crashes', name, crash);
  }

  const { sql } = world.postgres;
  const rows = await sql<JobRow[]>`select id, user_id, kind, state, run, error from jobs order by created_at`;
  const ends = await sql<EndRow[]>`
    select job_id, run, state, at from job_changes where state in ${sql([...TERMINAL_JOB_STATES])}
    order by job_id, run`;
  const byId = new Map(rows.map((row) => [row.id, row]));

  for (const asked of load.acknowledged) {
    const [jobId = ''] = asked.jobIds;
    if (asked.jobIds.size > 1) {
      violate(
        'one key, one job',
        jobId,
        `${asked.key} of ${asked.user} was answered ${[...asked.jobIds].join(', ')}`,
      );
    }
    if (!byId.has(jobId))
      violate('acknowledged means recorded', jobId, `${asked.kind} ${asked.key}: no row in the ledger`);
  }
  await checkAnswers(world, load.asks, violate);

  for (const row of rows) {
    const own = ends.filter(({ job_id }) => job_id === row.id);
    for (let run = 1; run <= row.run; run++) {
      const count = own.filter((end) => end.run === run).length;
      if (count !== 1)
        violate('one end a run', row.id, `run ${run} has ${count} ends in the ledger's history`);
    }
    if (!isTerminal(row.state)) violate('everything ends', row.id, `still ${row.state}`);
    else if (own.at(-1)?.state !== row.state) {
      violate(
        'one end a run',
        row.id,
        `row ${row.state}, history ${own.map(({ state }) => state).join(', ')}`,
      );
    }
    if (isTerminal(row.state) && !load.mayEnd(row)) {
      violate('no spurious failures', row.id, `${row.kind} ${row.state}: ${JSON.stringify(row.error)}`);
    }
  }
  await checkRecords(world.queue.client, rows, violate);
  await checkRooms(world.realtime.client, rows, ends, roomsSince, violate);
  checkCount(load, rows, violate);
  const containers = await checkContainerInvariants(world, load, violate);
  await checkLeftovers(world, load, containers.running, violate);
  const received =
    load instanceof JobLoad ? await checkReceivedEvents(world, load, rows, ends, violate) : undefined;
  return { violations, containers, received, jobs: rows.length, quietMs };
}

/** Checks that each key in the ledger was answered with its job, not with a refusal. */
async function checkAnswers(world: World, asks: Ask[], violate: Violate): Promise<void> {
  const taken = await world.postgres.sql<{ user_id: string; key_hash: string; job_id: string }[]>`
    select user_id, key_hash, job_id from idempotency_keys`;
  const jobs = new Map(taken.map((row) => [`${row.user_id}/${row.key_hash}`, row.job_id]));
  for (const { user, key, kind, outcome, status, jobIds } of asks) {
    const jobId = jobs.get(`${user}/${createHash('sha256').update(key).digest('hex')}`);
    if (outcome === 'refused' && jobId) {
      violate(
        'one key, one job',
        jobId,
        `${kind} ${key} of ${user} was refused with ${status}, but the key has a job`,
      );
    }
    if (outcome === 'acknowledged' && jobId && !jobIds.has(jobId)) {
      violate('one key, one job', jobId, `${kind} ${key} of ${user} was answered ${[...jobIds].join(', ')}`);
    }
  }
}

/** Checks that each record in Redis has the same state and run as the ledger. */
async function checkRecords(redis: Redis, rows: JobRow[], violate: Violate): Promise<void> {
  const pipeline = redis.pipeline();
  for (const { user_id, id } of rows) pipeline.hmget(keys.job(user_id, id), 'state', 'run');
  const answers = (await pipeline.exec()) ?? [];
  rows.forEach((row, i) => {
    const [state, run] = (answers[i]?.[1] ?? []) as (string | null)[];
    if (!state || (state === row.state && Number(run) === row.run)) return;
    violate('one end a run', row.id, `ledger ${row.state} in run ${row.run}, Redis ${state} in run ${run}`);
  });
}

/** Checks that each room has one end of each run, the same as the ledger. */
async function checkRooms(
  redis: Redis,
  rows: JobRow[],
  ends: EndRow[],
  roomsSince: number,
  violate: Violate,
): Promise<void> {
  const pipeline = redis.pipeline();
  for (const { user_id, id } of rows) pipeline.xrange(roomKeys.log(user_id, `job:${id}`), '-', '+');
  const answers = (await pipeline.exec()) ?? [];
  const received = new Map<string, string[]>();
  rows.forEach(({ id }, i) => {
    const entries = (answers[i]?.[1] ?? []) as [string, string[]][];
    for (const [, fields] of entries) {
      const { type, run } = JSON.parse(fields[3] ?? '{}') as StoredEvent;
      const key = `${id}.${run}`;
      if (isTerminalEvent(type)) received.set(key, [...(received.get(key) ?? []), type]);
    }
  });
  for (const { job_id, run, state, at } of ends) {
    const types = received.get(`${job_id}.${run}`) ?? [];
    const right = types.length === 1 && types[0] === `job.${state}`;
    if (right || (types.length === 0 && at.getTime() < roomsSince)) continue;
    const had = types.join(', ') || 'no end';
    violate('one end a run', job_id, `run ${run} is ${state} in the ledger, its room has ${had}`);
  }
}

/** Whether no job and no webhook waits or is active. */
async function queuesEmpty({ queue, workers }: World): Promise<boolean> {
  const names = [...JOB_QUEUES, 'webhooks', ...workers.flatMap(({ name }) => hostQueues(name))];
  const depths = await readDepths(queue.client, names, 1);
  return Object.values(depths).every(({ waiting, active }) => waiting + active === 0);
}

/** Checks that each job has a submission. */
function checkCount(load: Load, rows: JobRow[], violate: Violate): void {
  const asked = new Set(load.acknowledged.flatMap(({ jobIds }) => [...jobIds]));
  const unasked = rows.filter(({ id }) => !asked.has(id));
  const unknown = load.asks.filter(({ outcome }) => outcome === 'unknown').length;
  for (const { id, kind } of unasked.slice(unknown))
    violate('no job without a submission', id, `${kind} was in no answer`);
}

/** Checks that no change waits for the ledger and that no ended job or desktop counts against a quota. */
async function checkLeftovers(
  world: World,
  load: Load,
  running: Set<string>,
  violate: Violate,
): Promise<void> {
  const redis = world.queue.client;
  // The record of a running desktop is touched now and then, which marks its owner until the next drain.
  const deadline = Date.now() + LEFT_WITHIN_MS;
  const read = () => redis.zrange(keys.changedUsers(), '0', '-1');
  let marked = await read();
  while (marked.length > 0 && Date.now() < deadline) marked = await read();
  if (marked.length > 0) violate('nothing is left', marked.join(', '), 'changes wait for the ledger');
  for (const user of new Set(load.asks.map((asked) => asked.user))) {
    const waiting = await redis.xlen(keys.changes(user));
    if (waiting > 0) violate('nothing is left', user, `${waiting} changes wait for the ledger`);
    const jobs = await redis.zrangebyscore(keys.openJobs(user), Date.now(), '+inf');
    for (const id of jobs) violate('nothing is left', id, `counts against the quota of jobs of ${user}`);
    const desktops = await redis.zrangebyscore(keys.openContainers(user), Date.now(), '+inf');
    for (const id of desktops) {
      if (!running.has(id)) violate('nothing is left', id, `counts against the quota of desktops of ${user}`);
    }
  }
}
