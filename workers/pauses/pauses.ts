import { refusedState } from '@warmwind/shared/contract/call-refusal';
import type { PausedBy } from '@warmwind/shared/contract/containers';
import { ApiError } from '@warmwind/shared/contract/errors';
import type { ContainerRef } from '@warmwind/shared/engine/node/records';
import { withTimeout } from '@warmwind/shared/runtime/timeout';

/** How long a request waits until the desktop that it needs is resumed, ms. */
const RESUME_MS = 5000;

/** A desktop that is paused, or about to be. */
type Pause = { by: PausedBy; over: PromiseWithResolvers<void> };

export type PausesOptions = {
  /** Resumes a container that was paused because it was idle. */
  resume: (ref: ContainerRef) => Promise<void>;
  /** Called with the error when a resumption that a request needed failed. */
  onFailed: (containerId: string, error: unknown) => void;
};

/**
 * The paused containers of this host, as this process knows them. Their state is in their records, and the
 * sweep makes both agree. Requests wait here for a container that is resumed.
 */
export class Pauses {
  readonly #o: PausesOptions;
  readonly #paused = new Map<string, Pause>();
  /** The last change of each container: they are made one after the other. */
  readonly #changes = new Map<string, Promise<unknown>>();
  /** Resumptions that requests caused: one for each container, however many wait for it. */
  readonly #resuming = new Map<string, Promise<void>>();

  constructor(options: PausesOptions) {
    this.#o = options;
  }

  /** Who paused a container; `undefined` for one that is not paused. */
  by(containerId: string): PausedBy | undefined {
    return this.#paused.get(containerId)?.by;
  }

  /** Marks a container as paused: requests wait from now on, or are refused. */
  begin(containerId: string, by: PausedBy): void {
    const over = this.#paused.get(containerId)?.over ?? Promise.withResolvers<void>();
    over.promise.catch(() => undefined);
    this.#paused.set(containerId, { by, over });
  }

  /** Marks a container as running: requests continue. */
  end(containerId: string): void {
    this.#paused.get(containerId)?.over.resolve();
    this.#paused.delete(containerId);
  }

  /** Refuses the requests that wait for a container that has ended, or is another process's. */
  forget(containerId: string): void {
    this.#paused.get(containerId)?.over.reject(notHere());
    this.#paused.delete(containerId);
  }

  forgetAll(): void {
    for (const containerId of [...this.#paused.keys()]) this.forget(containerId);
  }

  /** Runs a change of a container after those that were begun before. */
  async change<T>(containerId: string, work: () => Promise<T>): Promise<T> {
    const before = this.#changes.get(containerId) ?? Promise.resolve();
    const done = before.then(work, work);
    const settled = done.catch(() => undefined);
    this.#changes.set(containerId, settled);
    try {
      return await done;
    } finally {
      if (this.#changes.get(containerId) === settled) this.#changes.delete(containerId);
    }
  }

  /**
   * Waits until a container is not paused, however long.
   * @throws the reason of the signal; ApiError `unavailable` when the container has ended
   */
  async thawed(containerId: string, signal?: AbortSignal): Promise<void> {
    for (;;) {
      signal?.throwIfAborted();
      const pause = this.#paused.get(containerId);
      if (!pause) return;
      await unlessAborted(pause.over.promise, signal);
    }
  }

  /** Resumes a container if it was paused because it was idle. Never rejects. */
  wake(ref: ContainerRef): void {
    if (this.by(ref.containerId) !== 'idle' || this.#resuming.has(ref.containerId)) return;
    const { resume, onFailed } = this.#o;
    const resuming = resume(ref)
      .catch((error: unknown) => onFailed(ref.containerId, error))
      .finally(() => this.#resuming.delete(ref.containerId));
    this.#resuming.set(ref.containerId, resuming);
  }

  /**
   * Waits until a container runs, and resumes it first if it was paused because it was idle.
   * @throws ApiError `paused` when a request paused it, `unavailable` when it is not resumed in time; or the
   *   reason of the signal
   */
  async awake(ref: ContainerRef, signal?: AbortSignal): Promise<void> {
    const { containerId } = ref;
    const deadline = performance.now() + RESUME_MS;
    for (;;) {
      const by = this.by(containerId);
      if (!by) return;
      if (by === 'request') throw refusedState('paused');
      this.wake(ref);
      const resumed = this.#resuming.get(containerId) ?? Promise.resolve();
      await withTimeout(unlessAborted(resumed, signal), deadline - performance.now(), notResumed);
      if (this.by(containerId) === 'idle') notResumed();
    }
  }
}

/** The pauses of a host that pauses nothing. */
export const NEVER_PAUSED: Pick<Pauses, 'by' | 'wake' | 'thawed'> = {
  by: () => undefined,
  wake: () => undefined,
  thawed: async () => undefined,
};

const notHere = () =>
  new ApiError('unavailable', 'The desktop does not run on this host now. Retry in a moment.');

function notResumed(): never {
  throw new ApiError('unavailable', 'The desktop was not resumed in time. Retry in a moment.', {
    retryAfterMs: 1000,
  });
}

/** Settles as `work` does. Rejects with the reason of `signal` as soon as it is aborted. */
function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return work;
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
