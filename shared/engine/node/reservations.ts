import type { Redis } from 'ioredis';
import { type Capacity, HostResources, Reservation } from '../../contract/resources.ts';
import { parseJson } from '../../runtime/json.ts';
import { runScript } from '../../runtime/node/script.ts';
import { keys } from '../keys.ts';
import { OPEN_RECORD_TTL_MS } from '../records.ts';
import { reserveRoom } from '../scripts/reserve.lua.ts';

/** A reservation, by the machine that it is of and the instance that it is for. */
export type Reserving = { machine: string; instance: string; reservation: Reservation };

/**
 * What containers reserve of machines, recorded in the queue Redis: every worker of the fleet sees the same, also after
 * it started again.
 */
export class Reservations {
  readonly #redis: Redis;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /** Reserves, unless the machine has no room. @returns whether it has */
  async take(reserving: Reserving, capacity: Capacity): Promise<boolean> {
    return this.#reserve(reserving, capacity, '');
  }

  /** Records what is taken already. */
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

  /** Releases all of a host that is lost, and what it published. */
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
