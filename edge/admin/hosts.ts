import { type FleetHost, type HostState, MAX_LISTED_HOSTS } from '@warmwind/shared/contract/admin';
import {
  Draining,
  HostResources,
  Reservation,
  type ResourceVector,
} from '@warmwind/shared/contract/resources';
import { keys } from '@warmwind/shared/engine/keys';
import { parseJson } from '@warmwind/shared/runtime/json';
import { iso } from '@warmwind/shared/runtime/times';
import type { z } from 'zod';
import { orUnavailable } from '../redis/record.ts';
import type { Services } from '../services.ts';

type Redis = Services['redis'];

/** The data of all hosts that one trip reads. */
type Published = {
  /** When each renewed its lease last, ms, the latest first. */
  seen: Map<string, string>;
  resources: Map<string, string>;
  draining: Map<string, string>;
};

/** The data of some hosts that depends on their names and machines. */
type Live = { leased: Set<string>; reservations: Map<string, Reservation[]> };

/**
 * Lists the hosts of the fleet, at most `MAX_LISTED_HOSTS`, those that were seen last first: two trips. A host that
 * was lost while it drained is listed too, so that its drain can be ended.
 */
export async function listHosts(redis: Redis): Promise<FleetHost[]> {
  const published = await readPublished(redis);
  const names = [...new Set([...published.seen.keys(), ...published.draining.keys()])];
  return describe(redis, published, names.slice(0, MAX_LISTED_HOSTS));
}

/** Reads one host; `undefined` for a name that no host has, and that is not drained. */
export async function findHost(redis: Redis, host: string): Promise<FleetHost | undefined> {
  const published = await readPublished(redis);
  if (!published.seen.has(host) && !published.draining.has(host)) return undefined;
  const [found] = await describe(redis, published, [host]);
  return found;
}

/** Requests the drain of a host, or does nothing when it was requested before. */
export async function drainHost(redis: Redis, host: string): Promise<void> {
  const value = JSON.stringify({ since: Date.now() } satisfies Draining);
  await orUnavailable(redis.hsetnx(keys.drainingHosts(), host, value));
}

/** Ends the drain of a host, if there is one. */
export async function undrainHost(redis: Redis, host: string): Promise<void> {
  await orUnavailable(redis.hdel(keys.drainingHosts(), host));
}

async function readPublished(redis: Redis): Promise<Published> {
  const [seen, resources, draining] = await orUnavailable(
    redis
      .pipeline()
      .zrange<string[]>(keys.hosts(), 0, MAX_LISTED_HOSTS - 1, { rev: true, withScores: true })
      .hgetall(keys.hostResources())
      .hgetall(keys.drainingHosts())
      .exec<[string[], string[] | null, string[] | null]>(),
  );
  return {
    seen: pairs(seen),
    resources: pairs(resources ?? []),
    draining: pairs(draining ?? []),
  };
}

/** A hash, or a sorted set with its scores, as Redis answers it. */
function pairs(flat: string[]): Map<string, string> {
  const found = new Map<string, string>();
  for (let i = 0; i + 1 < flat.length; i += 2) found.set(flat[i] ?? '', flat[i + 1] ?? '');
  return found;
}

async function describe(redis: Redis, published: Published, names: string[]): Promise<FleetHost[]> {
  const known = new Map(
    names.map((name) => [name, readable(HostResources, published.resources.get(name))] as const),
  );
  const machines = [...new Set([...known.values()].flatMap((host) => host?.machine ?? []))];
  const live = await readLive(redis, names, machines);
  const hosts = names.map((id) => hostOf(id, published, { resources: known.get(id), live }));
  return hosts.sort((a, b) => (a.id < b.id ? -1 : 1));
}

async function readLive(redis: Redis, names: string[], machines: string[]): Promise<Live> {
  if (names.length === 0) return { leased: new Set(), reservations: new Map() };
  const pipeline = redis.pipeline();
  for (const name of names) pipeline.exists(keys.hostLease(name));
  for (const machine of machines) pipeline.hvals(keys.reservations(machine));
  const answers = await orUnavailable(pipeline.exec<unknown[]>());
  const leased = new Set(names.filter((_, i) => answers[i] === 1));
  const reservations = machines.map((machine, i): [string, Reservation[]] => {
    const values = (answers[names.length + i] ?? []) as string[];
    return [machine, values.flatMap((text) => readable(Reservation, text) ?? [])];
  });
  return { leased, reservations: new Map(reservations) };
}

function hostOf(
  id: string,
  { seen, draining }: Published,
  { resources, live }: { resources: HostResources | undefined; live: Live },
): FleetHost {
  const seenAt = seen.get(id);
  const since = readable(Draining, draining.get(id))?.since;
  const onMachine = (resources && live.reservations.get(resources.machine)) ?? [];
  const own = onMachine.filter(({ host }) => host === id);
  const { machine, capacity = {}, gpuIds = [], images, versions } = resources ?? {};
  return {
    id,
    state: stateOf(live.leased.has(id), draining.has(id)),
    ...(seenAt === undefined ? {} : { seenAt: iso(seenAt) }),
    ...(since === undefined ? {} : { drainingSince: iso(since) }),
    ...(machine === undefined ? {} : { machine }),
    capacity,
    used: sum(own),
    machineUsed: sum(onMachine),
    containers: own.filter(({ containerId }) => containerId !== '').length,
    pooled: own.filter(({ containerId }) => containerId === '').length,
    gpuIds,
    ...(images ? { images } : {}),
    ...(versions ? { versions } : {}),
  };
}

function stateOf(leased: boolean, draining: boolean): HostState {
  if (!leased) return 'silent';
  return draining ? 'draining' : 'live';
}

const NOTHING: ResourceVector = { memoryMb: 0, cpus: 0, diskMb: 0, gpus: 0, containers: 0 };

/** CPUs are given in hundredths at most: sums are rounded to that. */
const sum = (reservations: Reservation[]): ResourceVector =>
  reservations.reduce(
    (total, { vector }) => ({
      memoryMb: total.memoryMb + vector.memoryMb,
      cpus: Math.round((total.cpus + vector.cpus) * 1000) / 1000,
      diskMb: total.diskMb + vector.diskMb,
      gpus: total.gpus + vector.gpus,
      containers: total.containers + vector.containers,
    }),
    NOTHING,
  );

/** A value of a hash; `undefined` for none, and for one that this version can't read. */
function readable<Schema extends z.ZodType>(
  schema: Schema,
  text: string | undefined,
): z.output<Schema> | undefined {
  if (text === undefined) return undefined;
  try {
    return parseJson(schema, text);
  } catch {
    return undefined;
  }
}
