import { type EngineCalls, statusOf } from './engine-calls.ts';
import { readGpuIds } from './found.ts';
import type { Reserved } from './reservations.ts';
import { LABELS } from './spec.ts';

const MIB = 2 ** 20;
/** How long a memory limit that no label has is remembered, ms. */
const MEMORY_KNOWN_MS = 10_000;

/** The resources of all desktops on the engine, of any fleet, as it has them. */
export class Census {
  readonly #calls: EngineCalls;
  /** Memory limits that no label has, by the engine's id, and when they were read. */
  readonly #memory = new Map<string, { memoryMb: number; at: number }>();

  constructor(calls: EngineCalls) {
    this.#calls = calls;
  }

  /** Forgets the memory limit of a container that was given another. */
  changed(id: string): void {
    this.#memory.delete(id);
  }

  /** Lists the reservations of all instances on this engine, of any fleet and host. */
  async list(): Promise<Reserved[]> {
    const filters = { label: [LABELS.fleet] };
    const all = await this.#calls.run('census', (docker) => docker.listContainers({ all: true, filters }));
    const live = all.filter(({ State }) => State !== 'exited' && State !== 'dead');
    return Promise.all(
      live.map(async ({ Id, Labels }) => ({
        containerId: Labels[LABELS.container] || Labels[LABELS.instance] || '',
        fleet: Labels[LABELS.fleet] ?? '',
        memoryMb: await this.#memoryMb(Id, Labels),
        uid: Labels[LABELS.uid] === undefined ? undefined : Number(Labels[LABELS.uid]),
        gpuIds: readGpuIds(Labels),
      })),
    );
  }

  /**
   * The memory limit of a desktop, MB. It is read where labels lack it, and where an instance was created for no
   * container, as a start changes it.
   */
  async #memoryMb(id: string, labels: Record<string, string>): Promise<number> {
    const label = labels[LABELS.memoryMb];
    if (label !== undefined && labels[LABELS.container]) return Number(label);
    const known = this.#memory.get(id);
    if (known && known.at > Date.now() - MEMORY_KNOWN_MS) return known.memoryMb;
    try {
      const { HostConfig } = await this.#calls.run('inspect', (docker) => docker.getContainer(id).inspect());
      const memoryMb = (HostConfig.Memory ?? 0) / MIB;
      for (const [other, { at }] of this.#memory)
        if (at < Date.now() - MEMORY_KNOWN_MS) this.#memory.delete(other);
      this.#memory.set(id, { memoryMb, at: Date.now() });
      return memoryMb;
    } catch (error) {
      if (statusOf(error) === 404) return 0;
      throw error;
    }
  }
}
