import { setTimeout as sleep } from 'node:timers/promises';
import { keys } from '@warmwind/shared/engine/keys';
import type { Redis } from 'ioredis';
import { LABELS } from '../../../workers/containers/spec.ts';
import type { EngineEvent } from './engine-events.ts';
import type { Load } from './load.ts';
import type { Violate } from './violations.ts';
import type { World } from './world.ts';

/** How long after a worker's death the engine may still execute its requests, ms. */
const IN_FLIGHT_MS = 5000;
/** How soon a restarted worker removes leftover containers: one lease and one sweep, ms. */
const REMOVED_WITHIN_MS = 25_000;

/** The containers of a run. */
export type ContainerCounts = {
  /** Desktops that should run at the end. */
  running: Set<string>;
  /** How many containers were started, over all desktops. */
  started: number;
  /** Desktops that had several containers one after another, each with their times and hosts. */
  again: Map<string, string>;
  /** Containers whose worker was killed while starting them, and which the restarted worker removed. */
  orphans: number;
};

type Life = { id: string; host: string; from: bigint; to: bigint | undefined };
type DesktopRow = { id: string; user_id: string; state: string };

/** Checks that a desktop never has two running containers, and that the right ones run at the end. */
export async function checkContainerInvariants(
  world: World,
  load: Load,
  violate: Violate,
): Promise<ContainerCounts> {
  if (world.watch.ended())
    violate('one desktop, one container', '', "the engine's event stream ended early: not checked");
  const stopped = load.gone;
  const starts = load.acknowledged.filter(({ kind }) => kind === 'start');
  const running = new Set(starts.map(({ containerId }) => containerId).filter((id) => !stopped.has(id)));
  await settled(world, running);
  const desktops = await desktopsByInstance(world);
  const again = new Map<string, string>();
  let started = 0;
  let orphans = 0;
  for (const [containerId, lives] of livesOf(world.watch.events, desktops)) {
    started += lives.length;
    if (lives.length > 1) again.set(containerId, lives.map(describe).join('; '));
    lives.forEach((life, i) => {
      const next = lives[i + 1];
      if (!next || (life.to !== undefined && life.to <= next.from)) return;
      if (isOrphan(world, life, next)) orphans += 1;
      else
        violate(
          'one desktop, one container',
          containerId,
          `two ran at once: ${describe(life)}; ${describe(next)}`,
        );
    });
  }

  const found = new Map<string, string[]>();
  for (const { Labels, State } of await world.containers()) {
    const id = desktops.get(Labels[LABELS.instance] ?? '') ?? Labels[LABELS.container];
    // An instance of a warm pool is no desktop yet.
    if (!id) continue;
    found.set(id, [...(found.get(id) ?? []), State]);
  }
  const rows = await world.postgres.sql<DesktopRow[]>`select id, user_id, state from containers`;
  await checkRecords(world.queue.client, rows, violate);
  for (const { id, state } of rows) {
    const there = found.get(id) ?? [];
    if (running.has(id)) {
      if (state !== 'running') violate('containers match', id, `should run, state in the ledger is ${state}`);
      if (there.length !== 1 || there[0] !== 'running') {
        violate('containers match', id, `should run, the engine has ${there.join(', ') || 'none'}`);
      }
    } else {
      if (stopped.has(id) && state !== 'stopped')
        violate('containers match', id, `should be stopped, state in the ledger is ${state}`);
      if (there.length > 0)
        violate('containers match', id, `should be gone, the engine has ${there.join(', ')}`);
    }
  }
  const known = new Set(rows.map(({ id }) => id));
  for (const id of found.keys())
    if (!known.has(id)) violate('containers match', id, 'exists and is not in the ledger');
  return { running, started, again, orphans };
}

/** Checks that each record in Redis has the same state as the ledger. */
async function checkRecords(redis: Redis, rows: DesktopRow[], violate: Violate): Promise<void> {
  const pipeline = redis.pipeline();
  for (const { user_id, id } of rows) pipeline.hget(keys.container(user_id, id), 'state');
  const answers = (await pipeline.exec()) ?? [];
  rows.forEach(({ id, state }, i) => {
    const answer = answers[i]?.[1];
    if (answer && answer !== state) violate('containers match', id, `ledger ${state}, Redis ${answer}`);
  });
}

/** Waits until restarted workers have removed leftover containers. */
async function settled(world: World, running: Set<string>): Promise<void> {
  const deadline = Date.now() + REMOVED_WITHIN_MS;
  const done = async () => {
    const desktops = await desktopsByInstance(world);
    const there = (await world.containers()).flatMap(
      ({ Labels }) => desktops.get(Labels[LABELS.instance] ?? '') ?? [],
    );
    return there.length === running.size && there.every((id) => running.has(id));
  };
  while (!(await done()) && Date.now() < deadline) await sleep(500);
}

/**
 * Whether a container was left by a worker that was killed while starting it. A peer does not wait for a host
 * that may never return and starts another container. The first is removed as soon as its host has a worker
 * again.
 */
function isOrphan({ workers }: World, { host, from, to }: Life, next: Life): boolean {
  const ends = workers.find(({ name }) => name === host)?.ends ?? [];
  const ms = (ns: bigint) => Number(ns / 1_000_000n);
  const killed = ends.some(
    ({ signal, at }) => signal === 'SIGKILL' && at > ms(from) - IN_FLIGHT_MS && at < ms(next.from),
  );
  if (!killed || to === undefined) return false;
  const back = ends.findLast(({ at }) => at < ms(to))?.back ?? 0;
  return ms(to) < back + REMOVED_WITHIN_MS;
}

/** @returns the desktop of every instance that one was placed as: each placement records its volume */
async function desktopsByInstance({ postgres }: World): Promise<Map<string, string>> {
  const rows = await postgres.sql<{ id: string; container_id: string }[]>`
    select id, container_id from volumes where container_id <> ''`;
  return new Map(rows.map(({ id, container_id }) => [id, container_id]));
}

/** @returns for each desktop, when its containers started and died, in order */
function livesOf(events: EngineEvent[], desktops: ReadonlyMap<string, string>): Map<string, Life[]> {
  const lives = new Map<string, Life[]>();
  for (const { action, id, instanceId, host, at } of events) {
    const containerId = desktops.get(instanceId);
    if (containerId === undefined) continue;
    const own = lives.get(containerId) ?? [];
    lives.set(containerId, own);
    if (action === 'start') own.push({ id, host, from: at, to: undefined });
    if (action === 'die') {
      const life = own.find((known) => known.id === id && known.to === undefined);
      if (life) life.to = at;
    }
  }
  for (const own of lives.values()) own.sort((a, b) => (a.from < b.from ? -1 : 1));
  return lives;
}

const time = (ns: bigint): string => new Date(Number(ns / 1_000_000n)).toISOString().slice(11, 23);
const describe = ({ host, from, to }: Life): string =>
  `${host} ${time(from)}-${to === undefined ? '' : time(to)}`;
