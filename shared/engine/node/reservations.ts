import type { Redis } from 'ioredis';
import { type Capacity, HostResources, Reservation } from '../../contract/resources.ts';
import { parseJson } from '../../runtime/json.ts';
import { runScript } from '../../runtime/node/script.ts';
import { keys } from '../keys.ts';
import { OPEN_RECORD_TTL_MS } from '../records.ts';
import { reserveRoom } from '../scripts/reserve.lua.ts';

/** A reservation, with its machine and its instance. */
export type Reserving = { machine: string; instance: string; reservation: Reservation };

/**
 * The reservations of containers on machines, recorded in the queue Redis: every worker of the fleet sees the
 * same ones, also after a restart.
 */
export class Reservations {
  readonly #redis: Redis;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /**
   * Reserves, if the machine has room.
   * @returns whether it has
   */
  async take(reserving: Reserving, capacity: Capacity): Promise<boolean> {
    return this.#reserve(reserving, capacity, '');
  }

  /** Records a reservation that is in use already, even without room. */
  async keep(reserving: Reserving): Promise<void> {
    await this.#reserve(reserving, {}, '1');
  }

  async release(machine: string, instances: string[]): Promise<void> {
    if (instances.length > 0) await this.#redis.hdel(keys.reservations(machine), ...instances);
  }

  /** @returns the reservations of a machine by their instances */
  async list(machine: string): Promise<Map<string, Reservation>> {
    const fields = Object.entries(await this.#redis.hgetall(keys.reservations(machine)));
    return new Map(fields.map(([instance, json]) => [instance, parseJson(Reservation, json)]));
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
    capacity: Capacity,
    always: '1' | '',
  ): Promise<boolean> {
    const args = {
      instance,
      reservation: JSON.stringify(reservation),
      capacity: JSON.stringify(capacity),
      always,
      ttlMs: OPEN_RECORD_TTL_MS,
    };
    const [verdict] = await runScript(this.#redis, reserveRoom, { machine }, args);
    return verdict === 'ok';
  }
}
