import type { Redis } from 'ioredis';
import { type Capacity, HostResources, Reservation, type Resource } from '../../contract/resources.ts';
import { jsonText, parseJson } from '../../runtime/json.ts';
import { runScript } from '../../runtime/node/script.ts';
import { keys, ROOM_CHANNEL } from '../keys.ts';
import { OPEN_RECORD_TTL_MS } from '../records.ts';
import { reserveRoom } from '../scripts/reserve.lua.ts';

const ReservationText = jsonText(Reservation);

/** A reservation, with its machine and its instance. */
export type Reserving = { machine: string; instance: string; reservation: Reservation };
/** The room of a machine that a host offers: its capacity, and the ids of its GPUs. */
export type Room = { capacity: Capacity; gpuIds: string[] };
/** The GPUs that a reservation got, or the resource of which too little is left. */
export type Reserved = { gpuIds: string[] } | { lacks: Resource };

/**
 * The reservations of containers on machines, recorded in the queue Redis: every worker of the fleet sees the
 * same ones, also after a restart.
 */
export class Reservations {
  readonly #redis: Redis;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /** Reserves, if the machine has room; its GPUs are chosen from `room.gpuIds`. */
  async take(reserving: Reserving, room: Room): Promise<Reserved> {
    return this.#reserve(reserving, room, '');
  }

  /** Records a reservation that is in use already, with its GPUs, even without room. */
  async keep(reserving: Reserving): Promise<void> {
    await this.#reserve(reserving, { capacity: {}, gpuIds: [] }, '1');
  }

  /** Releases the reservations of instances, and publishes that their machine has room. */
  async release(machine: string, instances: string[]): Promise<void> {
    if (instances.length === 0) return;
    await this.#redis.hdel(keys.reservations(machine), ...instances);
    await this.#redis.publish(ROOM_CHANNEL, machine);
  }

  /**
   * @returns the reservations of a machine by their instances. Unreadable ones are left out: the sweep writes
   * that of a running container again.
   */
  async list(machine: string): Promise<Map<string, Reservation>> {
    const fields = Object.entries(await this.#redis.hgetall(keys.reservations(machine)));
    return new Map(
      fields.flatMap(([instance, json]) => {
        const { data } = ReservationText.safeParse(json);
        return data ? [[instance, data]] : [];
      }),
    );
  }

  /** Removes the reservations of a lost host, and the resources that it published. */
  async forgetHost(host: string): Promise<void> {
    const published = await this.#redis.hget(keys.hostResources(), host);
    if (!published) return;
    const { machine } = parseJson(HostResources, published);
    const all = [...(await this.list(machine))];
    const own = all.flatMap(([instance, reservation]) => (reservation.host === host ? [instance] : []));
    await this.release(machine, own);
    await this.#redis.hdel(keys.hostResources(), host);
  }

  async #reserve(
    { machine, instance, reservation }: Reserving,
    { capacity, gpuIds }: Room,
    always: '1' | '',
  ): Promise<Reserved> {
    const args = {
      instance,
      reservation: JSON.stringify(reservation),
      capacity: JSON.stringify(capacity),
      gpuIds: JSON.stringify(gpuIds),
      always,
      ttlMs: OPEN_RECORD_TTL_MS,
    };
    const [verdict, value] = await runScript(this.#redis, reserveRoom, { machine }, args);
    return verdict === 'ok' ? { gpuIds: value.split(',').filter(Boolean) } : { lacks: value };
  }
}
