import type { ContainerSpec } from '@warmwind/shared/contract/containers';
import {
  type Capacity as CapacityVector,
  type HostResources,
  vectorOf,
} from '@warmwind/shared/contract/resources';
import { keys } from '@warmwind/shared/engine/keys';
import type { ContainerRecord } from '@warmwind/shared/engine/node/records';
import type { Reservations } from '@warmwind/shared/engine/node/reservations';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import type { Redis } from 'ioredis';
import type { JobContext } from '../runtime/delivery.ts';
import { JobFailureError } from '../runtime/failures.ts';
import { RequeueError } from '../runtime/outcome.ts';
import type { Engine } from './engine.ts';
import type { Capacity } from './reservations.ts';
import { type Instance, parseSpec } from './spec.ts';

/**
 * A start that waits for room is retried after half of the time that it has waited, within these bounds, ms.
 */
const AGAIN_MS = { least: 500, most: 10_000 };
/** A reservation older than this, ms, is orphaned unless a record or an active start belongs to it. */
const PLACEMENT_GRACE_MS = 5000;

export type AdmissionOptions = {
  engine: Engine;
  /** A fail-fast connection to the queue Redis. */
  redis: Redis;
  reservations: Reservations;
  /** The name of this host. */
  host: string;
  capacity: Capacity;
  /** The longest wait of a start for room, ms. */
  waitMs: number;
  log: Logger;
};

/** Decides whether this host takes a start, and maintains the reservations of its containers. */
export class Admission {
  readonly #o: AdmissionOptions;
  readonly #capacity: CapacityVector;

  constructor(options: AdmissionOptions) {
    this.#o = options;
    const { memoryMb, desktops: containers } = options.capacity;
    this.#capacity = { memoryMb, containers };
  }

  /** The resources that this host offers; `undefined` until its engine has reported its machine. */
  get resources(): HostResources | undefined {
    const { machine } = this.#o.engine;
    return machine === undefined
      ? undefined
      : { machine, capacity: this.#capacity, gpuIds: [], draining: false };
  }

  /**
   * Reserves room for an instance of the container.
   * @returns `undefined` when it is reserved; `RequeueError` while the start must wait, for this host or
   * another; `JobFailureError` when no host is large enough, or the start has waited for too long
   */
  async refusal(
    record: ContainerRecord,
    instanceId: string,
    job: JobContext,
  ): Promise<RequeueError | JobFailureError | undefined> {
    const spec = specOf(record);
    // An unavailable engine fails the start later, at the creation of the container.
    const machine = spec && (await this.#o.engine.findMachine().catch(() => undefined));
    if (!spec || !machine) return undefined;
    const reserving = this.#reserving(machine, { ...record, instanceId }, spec);
    const taken = await this.#o.reservations.take(reserving, this.#capacity);
    return taken ? undefined : this.admitOrWait(record, job);
  }

  /**
   * Reserves room for an instance of the warm pool, which has no container yet.
   * @returns whether there is room
   */
  async reservePooled(instanceId: string, spec: ContainerSpec): Promise<boolean> {
    const machine = await this.#o.engine.findMachine();
    // Reservations of one container replace each other, so each of these counts as a container of its own.
    const reserving = this.#reserving(machine, { containerId: instanceId, instanceId, fence: 0 }, spec);
    return this.#o.reservations.take(reserving, this.#capacity);
  }

  /** The same for a start that does not fit. */
  async admitOrWait(record: ContainerRecord, job: JobContext): Promise<RequeueError | JobFailureError> {
    const memoryMb = specOf(record)?.memoryMb ?? 0;
    if (memoryMb > (await this.#greatestMb())) return new JobFailureError('desktop_too_large');
    const waitedMs = Date.now() - job.queuedAt;
    if (waitedMs > this.#o.waitMs) return new JobFailureError('no_room');
    const againMs = Math.max(AGAIN_MS.least, Math.min(AGAIN_MS.most, waitedMs / 2));
    return new RequeueError(againMs * (1 + Math.random() / 4));
  }

  /** Releases the reservation of an instance. If that fails, the sweep retries it. Never rejects. */
  async release(instance: Pick<Instance, 'containerId' | 'instanceId'>): Promise<void> {
    const { engine, reservations, log } = this.#o;
    if (engine.machine === undefined) return;
    await reservations.release(engine.machine, [nameOf(instance)]).catch((err: unknown) => {
      log.warn({ err, containerId: instance.containerId }, 'reservation not released: the sweep retries');
    });
  }

  /** Reads the reservations of this host's machine. Call it before reading the records for `agree`. */
  async reserved(): Promise<Reserved> {
    const machine = await this.#o.engine.findMachine();
    return { machine, at: Date.now(), all: await this.#o.reservations.list(machine) };
  }

  /**
   * Reconciles the reservations with the records. Reserves for containers that run here without a
   * reservation, because Redis lost it or an earlier release placed them. Releases the orphaned reservations
   * of failed placements.
   * @param isActive whether the instance is in use without a record: a start of its container is active in this
   * process, or it belongs to the warm pool
   */
  async reconcile(
    { machine, at, all }: Reserved,
    records: ContainerRecord[],
    isActive: (instanceId: string, containerId: string) => boolean,
  ): Promise<void> {
    const { reservations, host } = this.#o;
    const placed = new Map(records.map((record) => [nameOf(record), record]));
    const left = [...all].flatMap(([instance, reservation]) => {
      const old = reservation.host === host && reservation.at < at - PLACEMENT_GRACE_MS;
      return old && !placed.has(instance) && !isActive(instance, reservation.containerId) ? [instance] : [];
    });
    for (const [instance, record] of placed) {
      const spec = specOf(record);
      const runs = record.state === 'running' || record.state === 'paused';
      if (spec && runs && !all.has(instance)) {
        await reservations.keep(this.#reserving(machine, record, spec));
      }
    }
    await reservations.release(machine, left);
  }

  #reserving(machine: string, instance: Instance, spec: ContainerSpec) {
    const { containerId } = instance;
    const reservation = {
      containerId,
      host: this.#o.host,
      vector: vectorOf(spec),
      at: Date.now(),
      gpuIds: [],
    };
    return { machine, instance: nameOf(instance), reservation };
  }

  /**
   * The memory of the largest live host, MB. Infinite when Redis does not answer: a larger host may exist.
   */
  async #greatestMb(): Promise<number> {
    const capacities = await this.#o.redis
      .hvals(keys.hostMemory())
      .catch(() => [`${Number.POSITIVE_INFINITY}`]);
    return Math.max(this.#o.capacity.memoryMb, ...capacities.map(Number).filter((mb) => mb > 0));
  }
}

type Reserved = { machine: string; at: number; all: Awaited<ReturnType<Reservations['list']>> };

/** An instance of an earlier release has no id of its own. */
const nameOf = ({ instanceId, containerId }: Pick<Instance, 'containerId' | 'instanceId'>): string =>
  instanceId || containerId;

/** Returns `undefined` for an invalid spec: the start fails later, at the creation of the desktop. */
export function specOf(record: ContainerRecord): ReturnType<typeof parseSpec> | undefined {
  try {
    return parseSpec(record.spec);
  } catch {
    return undefined;
  }
}
