import { setTimeout as sleep } from 'node:timers/promises';
import { CONTAINER_STATES, hasEnded } from '@warmwind/shared/containers';
import { isTerminal } from '@warmwind/shared/jobs';
import type { ContainerRef, DesktopRecord } from '@warmwind/shared/node/records';
import { failure } from '../jobs/errors.ts';
import type { Found } from './engine.ts';
import type { DesktopHost } from './host.ts';
import { stopDesktop } from './stop.ts';

const SWEEP_EVERY_MS = 10_000;
/** How many desktops are put right at a time. */
const AT_ONCE = 4;

/**
 * Makes this host's engine and the records agree: what no record speaks for is removed, what ended by itself is told
 * of, what has expired is stopped. Running desktops outlive their worker: the next one finds them here and keeps them.
 */
export class Sweep {
  readonly #host: DesktopHost;
  readonly #allowed: () => boolean;
  readonly #stopped = new AbortController();
  #loop: Promise<void> | undefined;

  /** @param allowed false while this process may not speak for its host */
  constructor(host: DesktopHost, allowed: () => boolean) {
    this.#host = host;
    this.#allowed = allowed;
  }

  start(everyMs = SWEEP_EVERY_MS): void {
    this.#loop ??= this.#run(everyMs);
  }

  async close(): Promise<void> {
    this.#stopped.abort();
    await this.#loop;
  }

  async #run(everyMs: number): Promise<void> {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      if (this.#allowed()) {
        await this.once().catch((error: unknown) => this.#host.log.warn({ err: error }, 'sweep failed'));
      }
      await sleep(everyMs, undefined, { signal }).catch(() => undefined);
    }
  }

  /** One sweep. Records or a list that can't be read end it: what is unknown is not absent. */
  async once(): Promise<void> {
    const { engine, records, metrics, name } = this.#host;
    // The engine first: whatever it lists was recorded before it was created, so the records read after it know it.
    const { containers, volumes } = await engine.list();
    const known = new Map<string, DesktopRecord>();
    const members = await records.hostContainers(name);
    await each(members, async (ref) => {
      const record = await records.container(ref);
      if (record?.host === name && !hasEnded(record.state)) known.set(ref.containerId, record);
    });
    await each(containers, (found) =>
      this.#apart(found.containerId, () => this.#judge(found, known.get(found.containerId))),
    );
    await each(volumes, async ({ containerId }) => {
      if (known.has(containerId)) return;
      await this.#apart(containerId, () => this.#remove(containerId, () => engine.removeVolume(containerId)));
    });
    await each(members, (ref) =>
      this.#apart(ref.containerId, () => this.#tend(ref, known.get(ref.containerId))),
    );
    for (const state of CONTAINER_STATES) {
      metrics.desktops.set({ state }, [...known.values()].filter((record) => record.state === state).length);
    }
  }

  /** What fails for one desktop is tried again at the next sweep and holds up no other. */
  async #apart(containerId: string, work: () => Promise<void>): Promise<void> {
    await work().catch((error: unknown) => this.#host.log.warn({ err: error, containerId }, 'not swept'));
  }

  /** A container stays while the record speaks for this very placement. */
  async #judge(found: Found, record: DesktopRecord | undefined): Promise<void> {
    const startedByDead = record?.state === 'starting' && record.boot !== this.#host.boot;
    if (record && record.fence === found.fence && !startedByDead) return;
    await this.#remove(found.containerId, () => this.#host.engine.removeContainer(found.id));
    if (!record)
      await this.#remove(found.containerId, () => this.#host.engine.removeVolume(found.containerId));
  }

  /** Not while a start in this process works under that name: it clears its own way. */
  async #remove(containerId: string, remove: () => Promise<void>): Promise<void> {
    if (this.#host.starting.has(containerId) || !this.#allowed()) return;
    await remove();
    this.#host.metrics.swept.inc({ what: 'orphan' });
    this.#host.log.info({ containerId }, 'swept: no record speaks for it');
  }

  async #tend(ref: ContainerRef, record: DesktopRecord | undefined): Promise<void> {
    const { engine, records, metrics, log, name, starting } = this.#host;
    const { containerId } = ref;
    if (starting.has(containerId) || !this.#allowed()) return;
    if (!record) {
      const now = await records.container(ref);
      // Read again: it may have been placed here since.
      if (!now || now.host !== name || hasEnded(now.state)) await records.forgetContainer(name, ref);
      return;
    }
    const { fence, state, expiresAt } = record;
    if (state === 'stopping') {
      const stop = await records.job(record.userId, record.stopJobId);
      if (!stop || isTerminal(stop.state)) await stopDesktop(this.#host, record);
      return;
    }
    if (state !== 'running' && state !== 'paused') return;
    const found = await engine.find(containerId);
    if (!found || found === 'foreign' || !found.running) {
      log.warn({ containerId }, 'swept: the desktop ended by itself');
      metrics.swept.inc({ what: 'exited' });
      const error = failure('desktop_exited');
      const verdict = await records.changeContainer(record, { to: 'failed', fence, from: [state], error });
      if (verdict !== 'ok') return;
      await engine.removePlacement(containerId, fence);
      await records.forgetContainer(name, ref);
    } else if (expiresAt !== undefined && expiresAt <= Date.now()) {
      log.info({ containerId }, 'swept: the desktop has expired');
      metrics.swept.inc({ what: 'expired' });
      await stopDesktop(this.#host, record);
    } else {
      await records.touchContainer(record, fence);
    }
  }
}

/** Runs `work` on every item, a few at a time; the first error ends it. */
async function each<T>(items: T[], work: (item: T) => Promise<void>): Promise<void> {
  const left = items.values();
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (const item of left) await work(item);
    }),
  );
}
