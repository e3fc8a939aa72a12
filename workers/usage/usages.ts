import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import { withTimeout } from '@warmwind/shared/runtime/timeout';
import type { Engine } from '../containers/engine.ts';
import { each } from '../each.ts';
import type { Usage } from '../supervisor/process.ts';
import type { Supervised, Supervisors } from '../supervisor/supervisors.ts';

/** The time for a supervisor to answer, ms. */
const SUPERVISOR_MS = 500;
/** The time between the two measurements of CPU time that a first answer needs, ms. */
const CPU_GAP_MS = 200;
/** An older measurement says nothing about the present use of CPUs, ms. */
const CPU_MAX_GAP_MS = 60_000;
/** How many containers are measured at a time for the metrics of a host. */
const AT_ONCE = 8;
/** After this time the containers that are not measured yet keep their last measurement, ms. */
const ALL_MS = 4000;

/**
 * One measurement; `at` in ms since 1970. `cpuPercent` is that since the measurement before it: 100 is one CPU. Of a container
 * whose supervisor does not answer, `home` and `processes` are unknown.
 */
export type Measured = Usage & {
  at: number;
  supervised: boolean;
  cpuPercent?: number | undefined;
};

export type UsagesOptions = {
  supervisors: Pick<Supervisors, 'list' | 'of'>;
  engine: Pick<Engine, 'usageOf'>;
  log: Logger;
};

/**
 * Measures what the containers of this host use. The supervisor reads its container's cgroup, which takes milliseconds; where
 * it does not answer, the engine measures, which takes up to a second. Requests that arrive during a measurement share it.
 */
export class Usages {
  readonly #o: UsagesOptions;
  /** By the engine's id. */
  readonly #last = new Map<string, Measured>();
  readonly #measuring = new Map<string, Promise<Measured>>();
  /** Measurements that requests asked for, with what their use of CPUs takes. */
  readonly #asked = new Map<string, Promise<Measured>>();
  #all: Promise<Map<string, Measured>> | undefined;

  constructor(options: UsagesOptions) {
    this.#o = options;
  }

  /**
   * Measures one container, with its present use of CPUs.
   * @returns `undefined` when it does not run on this host
   */
  async measure(containerId: string): Promise<Measured | undefined> {
    const running = this.#o.supervisors.list().find((one) => one.containerId === containerId);
    return running && shared(this.#asked, running.engineId, () => this.#withPercent(running));
  }

  async #withPercent(running: Supervised): Promise<Measured> {
    const first = await this.#measured(running);
    if (first.cpuPercent !== undefined || !first.supervised) return first;
    await sleep(CPU_GAP_MS);
    return this.#measured(running);
  }

  /** Measures all containers of this host, by id. Never rejects: one that can't be measured is left out. */
  measureAll(): Promise<ReadonlyMap<string, Measured>> {
    this.#all ??= this.#measureAll().finally(() => {
      this.#all = undefined;
    });
    return this.#all;
  }

  async #measureAll(): Promise<Map<string, Measured>> {
    const { supervisors, log } = this.#o;
    const running = supervisors.list();
    const here = new Set(running.map(({ engineId }) => engineId));
    for (const engineId of this.#last.keys()) if (!here.has(engineId)) this.#last.delete(engineId);
    const measured = each(running, AT_ONCE, async (one) => {
      await this.#measured(one).catch((err: unknown) =>
        log.debug({ err, containerId: one.containerId }, 'container not measured'),
      );
    });
    await withTimeout(measured, ALL_MS, () => undefined);
    return new Map(
      running.flatMap(({ containerId, engineId }) => {
        const last = this.#last.get(engineId);
        return last ? [[containerId, last] as const] : [];
      }),
    );
  }

  #measured(running: Supervised): Promise<Measured> {
    return shared(this.#measuring, running.engineId, () => this.#measureNow(running));
  }

  async #measureNow({ containerId, engineId, isPaused }: Supervised): Promise<Measured> {
    const supervised = isPaused ? undefined : await this.#askSupervisor(containerId);
    const usage = supervised ?? (await this.#o.engine.usageOf(engineId));
    const at = Date.now();
    const last = this.#last.get(engineId);
    const measured = {
      ...usage,
      at,
      supervised: supervised !== undefined,
      cpuPercent: last && cpuPercent(last, { ...usage, at }),
    };
    // A measurement that is too close to the last one is not compared with.
    if (!last || measured.cpuPercent !== undefined || at - last.at > CPU_MAX_GAP_MS)
      this.#last.set(engineId, measured);
    return measured;
  }

  /** @returns `undefined` when there is none, it does not answer, or it can't read the container's cgroup */
  async #askSupervisor(containerId: string): Promise<Usage | undefined> {
    try {
      const signal = AbortSignal.timeout(SUPERVISOR_MS);
      const usage = await this.#o.supervisors.of(containerId).usage({ signal });
      const { cpuNs, memoryUsed, memoryLimit, threads } = usage;
      return [cpuNs, memoryUsed, memoryLimit, threads].includes(undefined) ? undefined : usage;
    } catch {
      return undefined;
    }
  }
}

/** Returns the work that is under way for a key, or begins it. */
function shared<T>(all: Map<string, Promise<T>>, key: string, begin: () => Promise<T>): Promise<T> {
  const known = all.get(key);
  if (known) return known;
  const begun = begin().finally(() => all.delete(key));
  all.set(key, begun);
  return begun;
}

function cpuPercent(last: Measured, next: Usage & { at: number }): number | undefined {
  const gapMs = next.at - last.at;
  if (gapMs < CPU_GAP_MS || gapMs > CPU_MAX_GAP_MS) return undefined;
  return Math.max(0, ((next.cpuNs ?? 0) - (last.cpuNs ?? 0)) / 1e6 / gapMs) * 100;
}
