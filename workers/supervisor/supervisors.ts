import type { Engine } from '../containers/engine.ts';
import { NEVER_PAUSED, type Pauses } from '../pauses/pauses.ts';
import { Supervisor } from './client.ts';
import { SupervisorError } from './error.ts';

/** A container that runs here, or is paused. */
export type Supervised = { containerId: string; engineId: string; isPaused: boolean };

/** The supervisors of all containers that run on this host. */
export class Supervisors {
  readonly #engine: Pick<Engine, 'supervisorPath'>;
  readonly #pauses: Pick<Pauses, 'by' | 'thawed'>;
  readonly #running = new Map<string, { engineId: string; supervisor: Supervisor }>();

  constructor(engine: Pick<Engine, 'supervisorPath'>, pauses: Pick<Pauses, 'by' | 'thawed'> = NEVER_PAUSED) {
    this.#engine = engine;
    this.#pauses = pauses;
  }

  /** Registers a container that runs here. Called periodically. */
  runs(containerId: string, engineId: string): void {
    if (this.#running.get(containerId)?.engineId === engineId) return;
    let found: Promise<string> | undefined;
    const socketPath = () => {
      found ??= this.#engine.supervisorPath(engineId);
      found.catch(() => {
        found = undefined;
      });
      return found;
    };
    const freezer = {
      isFrozen: () => this.#pauses.by(containerId) !== undefined,
      thawed: (signal?: AbortSignal) => this.#pauses.thawed(containerId, signal),
    };
    this.#running.set(containerId, { engineId, supervisor: new Supervisor(socketPath, freezer) });
  }

  ended(containerId: string): void {
    this.#running.delete(containerId);
  }

  /** Another process may hold this host's lease now. */
  forgetAll(): void {
    this.#running.clear();
  }

  /** Lists the containers that run here, with the engine's id of each. */
  list(): Supervised[] {
    return [...this.#running].map(([containerId, { engineId }]) => ({
      containerId,
      engineId,
      isPaused: this.#pauses.by(containerId) !== undefined,
    }));
  }

  /**
   * Returns the supervisor of a container.
   * @throws SupervisorError `not_here` when the container does not run on this host
   */
  of(containerId: string): Supervisor {
    const running = this.#running.get(containerId);
    if (running) return running.supervisor;
    throw new SupervisorError('not_here', 'The container does not run on this host now. Retry in a moment.');
  }
}
