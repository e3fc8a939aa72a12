import type { ContainerSpec } from '@warmwind/shared/contract/containers';
import type { WaitReason } from '@warmwind/shared/contract/jobs';
import { type HostResources, type ResourceVector, vectorOf } from '@warmwind/shared/contract/resources';
import { keys } from '@warmwind/shared/engine/keys';
import type { ContainerRecord } from '@warmwind/shared/engine/node/records';
import type { Reservations } from '@warmwind/shared/engine/node/reservations';
import { TURN_MS, type Waiter, WaitingStarts } from '@warmwind/shared/engine/node/waiting-starts';
import type { JobData } from '@warmwind/shared/engine/queues';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import type { Redis } from 'ioredis';
import type { Metrics } from '../metrics.ts';
import type { Offer } from '../placement/offer.ts';
import { mayHave, neverHas, REASONS, RESOURCES, sumOf } from '../placement/room.ts';
import { type Turn, turnsOf } from '../placement/turns.ts';
import { Waits } from '../placement/waits.ts';
import type { JobContext } from '../runtime/delivery.ts';
import type { JobFailureError } from '../runtime/failures.ts';
import type { RequeueError } from '../runtime/outcome.ts';
import type { Engine } from './engine.ts';
import type { Found } from './found.ts';
import { type Instance, parseSpec } from './spec.ts';

/** A reservation older than this, ms, is orphaned unless a record or an active start belongs to it. */
const PLACEMENT_GRACE_MS = 5000;

export type AdmissionOptions = {
  engine: Engine;
  /** A fail-fast connection to the queue Redis. */
  redis: Redis;
  reservations: Reservations;
  /** The starts that wait, over a fail-fast connection. */
  waiting: WaitingStarts;
  offer: Offer;
  /** The name of this host. */
  host: string;
  /** The longest wait of a start for room, ms. */
  waitMs: number;
  log: Logger;
};

/** The GPUs of a start that has room here, or what this host lacks for it. */
export type Admitted = { gpuIds: string[] } | { lacks: WaitReason };
type Reserved = { machine: string; at: number; all: Awaited<ReturnType<Reservations['list']>> };

/** Decides whether this host takes a start, and maintains the reservations of its containers. */
export class Admission {
  readonly #o: AdmissionOptions;
  readonly #waits: Waits;
  /**
   * Ends an instance of the warm pool, so that a start has its room.
   * @returns whether it ended one
   */
  makeRoom: () => Promise<boolean> = async () => false;

  constructor(options: AdmissionOptions) {
    this.#o = options;
    this.#waits = new Waits(options);
  }

  /** The resources that this host offers; `undefined` until its engine has reported its machine. */
  get resources(): HostResources | undefined {
    return this.#o.offer.resources;
  }

  /**
   * Reserves room for an instance of the container; one that has a reservation already gets another.
   * @returns its GPUs, or what this host lacks for it: see {@link refuse}
   */
  async reserve(record: ContainerRecord, instanceId: string, job: JobContext): Promise<Admitted> {
    const spec = specOf(record);
    // An unavailable engine fails the start later, at the creation of the container.
    const machine = spec && (await this.#o.engine.findMachine().catch(() => undefined));
    const { resources } = this;
    if (!spec || !machine || !resources) return { gpuIds: [] };
    const wanted = { vector: vectorOf(spec), image: spec.image };
    const [starts, draining] = await Promise.all([
      this.#o.waiting.list().catch(() => []),
      this.#isDraining(),
    ]);
    if (draining) return { lacks: 'draining' };
    if (!mayHave(resources, spec.image) && !(await this.#hasImage(spec.image))) return { lacks: 'image' };
    const never = neverHas(resources, wanted.vector);
    if (never) return { lacks: REASONS[never] };
    const member = WaitingStarts.memberOf(job.data);
    if (starts.length > 0) {
      const own = { ...job.data, ...wanted, queuedAt: job.queuedAt };
      const turns = await this.#turns(withStart(starts, own), instanceId);
      const lacks = turns.find(({ start }) => start.member === member)?.lacks;
      if (lacks) return { lacks: REASONS[lacks] };
    }
    const taken = await this.#take(machine, resources, { ...record, instanceId }, wanted.vector);
    if ('lacks' in taken) return { lacks: REASONS[taken.lacks] };
    if (starts.some((start) => start.member === member)) {
      // Its next delivery, or the leader, removes it otherwise.
      await this.#o.waiting.remove([member]).catch(() => undefined);
    }
    return taken;
  }

  /**
   * Refuses a start for which this host has no room, or which it could not create.
   * @returns `RequeueError` while it must wait, for this host or another; `JobFailureError` when no host could
   * hold it, or it has waited for too long
   */
  async refuse(
    record: ContainerRecord,
    reason: WaitReason,
    job: JobContext,
  ): Promise<RequeueError | JobFailureError> {
    if (reason === 'image') await this.#o.offer.refresh();
    const { image, ...spec } = parseSpec(record.spec);
    return this.#waits.wait({ vector: vectorOf(spec), image }, reason, job);
  }

  /**
   * Decides about a waiting start before it is taken. Never rejects.
   * @returns its delay while this host has no room for it; `undefined` when it is to be taken
   */
  async deferral(data: JobData, queuedAt: number): Promise<number | undefined> {
    const { waiting, log } = this.#o;
    const delayMs = this.#waits.delayMs(queuedAt);
    const starts = await waiting.list().catch(() => []);
    const member = WaitingStarts.memberOf(data);
    const own = starts.find((start) => start.member === member);
    if (!own || this.#waits.isOver(queuedAt)) return undefined;
    const turns = await this.turns(starts).catch((err: unknown) => {
      log.warn({ err, jobId: own.jobId }, 'turn of a start not decided: it waits');
      return [];
    });
    const turn = turns.find(({ start }) => start.member === member);
    if (turn && !turn.lacks) return undefined;
    await waiting.change(own, { seenAt: Date.now() }).catch(() => undefined);
    return delayMs;
  }

  /** Decides which of these starts have room here now. */
  async turns(starts: Waiter[]): Promise<Turn<Waiter>[]> {
    return (await this.#isDraining()) ? [] : this.#turns(starts);
  }

  /** Whether starts wait that this host could hold, for a resource that the warm pool has. */
  async startsWait(): Promise<boolean> {
    const starts = await this.#o.waiting.list();
    if (starts.length === 0) return false;
    // An instance of the pool has no GPUs.
    return (await this.turns(starts)).some(({ lacks }) => lacks !== 'gpus');
  }

  /**
   * Reserves room for an instance of the warm pool, which has no container yet.
   * @returns false without room, while starts wait for it, and on a host that takes no new containers
   */
  async reservePooled(instanceId: string, spec: ContainerSpec): Promise<boolean> {
    const machine = await this.#o.engine.findMachine();
    const { resources } = this;
    const [startsWait, draining] = await Promise.all([this.startsWait(), this.#isDraining()]);
    if (!resources || draining || startsWait) return false;
    const reserving = this.#reserving(machine, { containerId: '', instanceId }, vectorOf(spec), []);
    return 'gpuIds' in (await this.#o.reservations.take(reserving, resources));
  }

  /** Releases the reservation of an instance. If that fails, the sweep retries it. Never rejects. */
  async release(instance: Pick<Instance, 'containerId' | 'instanceId'>): Promise<void> {
    const { engine, reservations, log } = this.#o;
    if (engine.machine === undefined) return;
    await reservations.release(engine.machine, [nameOf(instance)]).catch((err: unknown) => {
      log.warn({ err, containerId: instance.containerId }, 'reservation not released: the sweep retries');
    });
  }

  /** Reads the reservations of this host's machine. Call it before reading the records for `reconcile`. */
  async reserved(): Promise<Reserved> {
    const machine = await this.#o.engine.findMachine();
    return { machine, at: Date.now(), all: await this.#o.reservations.list(machine) };
  }

  /** Sets the metrics of this machine's resources. */
  measure({ all }: Reserved, metrics: Pick<Metrics, 'resources' | 'draining'>): void {
    const { capacity, draining } = this.resources ?? { capacity: {}, draining: false };
    const used = sumOf([...all.values()].map(({ vector }) => vector));
    for (const name of RESOURCES) {
      const most = capacity[name];
      metrics.resources.set({ resource: REASONS[name], what: 'used' }, used[name]);
      if (most !== undefined) metrics.resources.set({ resource: REASONS[name], what: 'capacity' }, most);
    }
    metrics.draining.set(draining ? 1 : 0);
  }

  /**
   * Reconciles the reservations with the records. Reserves for containers that run here without a
   * reservation, because Redis lost it or an earlier release placed them. Releases the orphaned reservations
   * of failed placements.
   * @param found the instances on the engine: they name the GPUs of each
   * @param isActive whether the instance is in use without a record: a start of its container is active in this
   * process, or it belongs to the warm pool
   */
  async reconcile(
    { machine, at, all }: Reserved,
    records: ContainerRecord[],
    found: Found[],
    isActive: (instanceId: string, containerId: string) => boolean,
  ): Promise<void> {
    const { reservations, host } = this.#o;
    const placed = new Map(records.map((record) => [nameOf(record), record]));
    const left = [...all].flatMap(([instanceId, { containerId, ...reservation }]) => {
      const old = reservation.host === host && reservation.at < at - PLACEMENT_GRACE_MS;
      return old && !placed.has(instanceId) && !isActive(instanceId, containerId) ? [instanceId] : [];
    });
    for (const [instance, record] of placed) {
      const spec = specOf(record);
      const runs = record.state === 'running' || record.state === 'paused';
      if (spec && runs && !all.has(instance)) {
        const gpuIds = found.find(({ instanceId }) => instanceId === instance)?.gpuIds ?? [];
        await reservations.keep(this.#reserving(machine, record, vectorOf(spec), gpuIds));
      }
    }
    await reservations.release(machine, left);
  }

  /** Reserves; the warm pool gives way to it. */
  async #take(machine: string, room: HostResources, instance: Instance, vector: ResourceVector) {
    for (;;) {
      const taken = await this.#o.reservations.take(this.#reserving(machine, instance, vector, []), room);
      // An instance of the pool has no GPUs.
      if ('gpuIds' in taken || taken.lacks === 'gpus' || !(await this.makeRoom())) return taken;
    }
  }

  async #turns<T extends Waiter>(starts: T[], instanceId?: string): Promise<Turn<T>[]> {
    const resources = this.resources;
    if (!resources) return [];
    const { all } = await this.reserved();
    const used = [...all].flatMap(([instance, { containerId, host, vector }]) => {
      // The warm pool gives way to a start.
      const isSpare = containerId === '' && host === this.#o.host;
      return isSpare || instance === instanceId ? [] : [vector];
    });
    return turnsOf(starts, resources, sumOf(used), Date.now());
  }

  async #isDraining(): Promise<boolean> {
    const { redis, offer, host } = this.#o;
    if (offer.draining) return true;
    return (await redis.hexists(keys.drainingHosts(), host).catch(() => 0)) === 1;
  }

  async #hasImage(image: string): Promise<boolean> {
    const { engine, offer } = this.#o;
    // An engine that does not answer fails the start later.
    if (!(await engine.images.has(image).catch(() => true))) return false;
    void offer.refresh();
    return true;
  }

  #reserving(
    machine: string,
    instance: Pick<Instance, 'containerId' | 'instanceId'>,
    vector: ResourceVector,
    gpuIds: string[],
  ) {
    const { containerId } = instance;
    const reservation = { containerId, host: this.#o.host, vector, at: Date.now(), gpuIds };
    return { machine, instance: nameOf(instance), reservation };
  }
}

/** The same starts with one that may not wait yet, in its place. */
function withStart(
  starts: Waiter[],
  start: Pick<Waiter, 'userId' | 'jobId' | 'run' | 'vector' | 'image' | 'queuedAt'>,
): Waiter[] {
  const member = WaitingStarts.memberOf(start);
  if (starts.some((each) => each.member === member)) return starts;
  const before = starts.filter(({ userId }) => userId === start.userId).length;
  const turnAt = start.queuedAt + before * TURN_MS;
  const own = { ...start, reason: 'memory' as const, seenAt: Date.now(), member, turnAt };
  return [...starts, own].sort((a, b) => a.turnAt - b.turnAt);
}

/** An instance of an earlier release has no id of its own. */
const nameOf = ({ instanceId, containerId }: Pick<Instance, 'containerId' | 'instanceId'>): string =>
  instanceId || containerId;

/** Returns `undefined` for an invalid spec: the start fails later, at the creation of the desktop. */
export function specOf(record: ContainerRecord): ContainerSpec | undefined {
  try {
    return parseSpec(record.spec);
  } catch {
    return undefined;
  }
}
