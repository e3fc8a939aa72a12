import type { Resource } from '@warmwind/shared/contract/resources';

/** The capacity of this machine for the desktops of one fleet, shared by all of its workers here. */
export type Capacity = { memoryMb: number; desktops: number };

/** The reservation of one engine container. `uid` is `undefined` when it shares its uid. */
export type Reserved = {
  containerId: string;
  fleet: string;
  memoryMb: number;
  uid: number | undefined;
  gpuIds: string[];
};

/** The range of the uids of desktops. systemd assigns it to no other use. */
export const UIDS = { first: 1_900_000_000, count: 65_536 };

/** Thrown when the machine has no room for a desktop now: too little is left of `resource`. */
export class NoRoomError extends Error {
  override name = 'NoRoomError';
  readonly resource: Resource;

  constructor(resource: Resource) {
    super(`no room: ${resource}`);
    this.resource = resource;
  }
}

/**
 * Assigns each desktop a uid of its own and checks again that its memory and GPUs are free, by the labels of the containers on the
 * engine. Redis may have lost a reservation (`shared/engine/node/reservations.ts`), and all fleets on a
 * machine share its uids. Two processes may create at the same moment on one engine, so a second look at the
 * engine after the creation confirms a reservation. Of two that do not fit together, both fail.
 */
export class Reservations {
  readonly #fleet: string;
  readonly #capacity: Capacity;
  readonly #census: () => Promise<Reserved[]>;
  /** Reservations of this process that are not confirmed yet, by container id. */
  readonly #pending = new Map<string, Reserved>();

  /** @param census lists all desktops of the engine, of any fleet */
  constructor(fleet: string, capacity: Capacity, census: () => Promise<Reserved[]>) {
    this.#fleet = fleet;
    this.#capacity = capacity;
    this.#census = census;
  }

  /**
   * Reserves memory, GPUs and a uid for a desktop before its creation.
   * @returns a uid that no live desktop has
   * @throws NoRoomError when the machine has no room for it
   */
  async reserve(containerId: string, memoryMb: number, gpuIds: string[]): Promise<number> {
    const others = await this.#others(containerId);
    const lacks = this.#lacks(others, { memoryMb, gpuIds });
    const uid = freeUid(others);
    if (lacks || uid === undefined) throw new NoRoomError(lacks ?? 'containers');
    this.#pending.set(containerId, { containerId, fleet: this.#fleet, memoryMb, uid, gpuIds });
    return uid;
  }

  /**
   * Confirms a reservation. Call it once the container exists, before its start.
   * @throws NoRoomError when another process took the room, or the uid, at the same moment
   */
  async confirm(containerId: string): Promise<void> {
    const own = this.#pending.get(containerId);
    const others = await this.#others(containerId);
    const lacks = own ? this.#lacks(others, own) : 'containers';
    if (lacks) throw new NoRoomError(lacks);
    if (others.some(({ uid }) => uid === own?.uid)) throw new NoRoomError('containers');
  }

  /** Forgets a pending reservation. Call it once the container is confirmed or gone. */
  settle(containerId: string): void {
    this.#pending.delete(containerId);
  }

  /** No await may come between this result and a reservation that depends on it. */
  async #others(containerId: string): Promise<Reserved[]> {
    const found = (await this.#census()).filter((one) => !this.#pending.has(one.containerId));
    return [...found, ...this.#pending.values()].filter((one) => one.containerId !== containerId);
  }

  /** A GPU that a desktop of any fleet has is not free. */
  #lacks(others: Reserved[], wanted: Pick<Reserved, 'memoryMb' | 'gpuIds'>): Resource | undefined {
    const own = others.filter(({ fleet }) => fleet === this.#fleet);
    const reservedMb = own.reduce((sum, one) => sum + one.memoryMb, 0);
    const taken = new Set(others.flatMap(({ gpuIds }) => gpuIds));
    if (own.length >= this.#capacity.desktops) return 'containers';
    if (reservedMb + wanted.memoryMb > this.#capacity.memoryMb) return 'memoryMb';
    return wanted.gpuIds.some((id) => taken.has(id)) ? 'gpus' : undefined;
  }
}

/** Chooses a random free uid: two processes that choose at the same moment seldom choose the same. */
function freeUid(others: Reserved[]): number | undefined {
  const taken = new Set(others.map(({ uid }) => uid));
  const start = Math.floor(Math.random() * UIDS.count);
  for (let step = 0; step < UIDS.count; step++) {
    const uid = UIDS.first + ((start + step) % UIDS.count);
    if (!taken.has(uid)) return uid;
  }
  return undefined;
}
