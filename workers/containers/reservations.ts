/** What this machine gives to the desktops of one fleet, whichever of its workers here starts them. */
export type Capacity = { memoryMb: number; desktops: number };

/** What one engine container reserves. `uid`: `undefined` for one that shares its uid. */
export type Reserved = { containerId: string; fleet: string; memoryMb: number; uid: number | undefined };

/** The uids of desktops: that many from here on. systemd leaves this range of uids to nobody. */
export const UIDS = { first: 1_900_000_000, count: 65_536 };

/** The machine has no room for this desktop now. */
export class NoRoomError extends Error {
  override name = 'NoRoomError';
}

/**
 * Gives each desktop a uid of its own, and looks once more whether it fits: by the labels of what the engine really holds,
 * as Redis may have forgotten a reservation (`shared/engine/node/reservations.ts`), and uids are the machine's, whatever system
 * uses it. Two processes may create at the same moment on one engine, so a
 * reservation counts once a look at the engine after its creation has confirmed it; of two that do not fit both give way.
 */
export class Reservations {
  readonly #fleet: string;
  readonly #capacity: Capacity;
  readonly #census: () => Promise<Reserved[]>;
  /** Those of this process whose container is not confirmed yet. */
  readonly #pending = new Map<string, Reserved>();

  /** @param census all desktops of the engine, of any fleet */
  constructor(fleet: string, capacity: Capacity, census: () => Promise<Reserved[]>) {
    this.#fleet = fleet;
    this.#capacity = capacity;
    this.#census = census;
  }

  /**
   * @returns the uid of the desktop that is to be created: no live desktop has it
   * @throws NoRoomError when the machine has no room for it
   */
  async reserve(containerId: string, memoryMb: number): Promise<number> {
    const others = await this.#others(containerId);
    const uid = this.#fits(others, memoryMb) ? freeUid(others) : undefined;
    if (uid === undefined) throw new NoRoomError();
    this.#pending.set(containerId, { containerId, fleet: this.#fleet, memoryMb, uid });
    return uid;
  }

  /**
   * To be called once the container exists, before it is started.
   * @throws NoRoomError when another process took the room, or the uid, in the same moment
   */
  async confirm(containerId: string): Promise<void> {
    const own = this.#pending.get(containerId);
    const others = await this.#others(containerId);
    if (!own || !this.#fits(others, own.memoryMb) || others.some(({ uid }) => uid === own.uid)) {
      throw new NoRoomError();
    }
  }

  /** The container is confirmed, or gone. */
  settle(containerId: string): void {
    this.#pending.delete(containerId);
  }

  /** Nothing may be awaited between the answer and a reservation that rests on it. */
  async #others(containerId: string): Promise<Reserved[]> {
    const found = (await this.#census()).filter((one) => !this.#pending.has(one.containerId));
    return [...found, ...this.#pending.values()].filter((one) => one.containerId !== containerId);
  }

  #fits(others: Reserved[], memoryMb: number): boolean {
    const own = others.filter(({ fleet }) => fleet === this.#fleet);
    const reservedMb = own.reduce((sum, one) => sum + one.memoryMb, 0);
    return own.length < this.#capacity.desktops && reservedMb + memoryMb <= this.#capacity.memoryMb;
  }
}

/** One by chance, as two processes that choose at the same moment seldom choose the same. */
function freeUid(others: Reserved[]): number | undefined {
  const taken = new Set(others.map(({ uid }) => uid));
  const start = Math.floor(Math.random() * UIDS.count);
  for (let step = 0; step < UIDS.count; step++) {
    const uid = UIDS.first + ((start + step) % UIDS.count);
    if (!taken.has(uid)) return uid;
  }
  return undefined;
}
