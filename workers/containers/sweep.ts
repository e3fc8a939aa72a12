import { setTimeout as sleep } from 'node:timers/promises';
import { CONTAINER_STATES, hasEnded } from '@warmwind/shared/contract/containers';
import { isTerminal } from '@warmwind/shared/contract/jobs';
import { containersById, containersOfInstances, jobsOfDesktops } from '@warmwind/shared/engine/ledger/reads';
import type { ContainerRow } from '@warmwind/shared/engine/ledger/rows';
import { LedgerUnavailableError } from '@warmwind/shared/engine/node/ledger';
import type { ContainerRef, DesktopRecord } from '@warmwind/shared/engine/node/records';
import { each } from '../each.ts';
import { failure } from '../runtime/failures.ts';
import { createSkip } from '../skip.ts';
import { type Found, isInstance, type Labelled } from './engine.ts';
import type { DesktopHost } from './host.ts';
import { runningSince } from './running.ts';
import { type Instance, parseSpec } from './spec.ts';
import { stopDesktop } from './stop.ts';

const SWEEP_EVERY_MS = 10_000;
const UNTIL_ALLOWED_MS = 250;
/** How many desktops are put right at a time. */
const AT_ONCE = 4;

/** The row of an instance's container; `away` when the ledger could not be asked. */
type RowOf = ((found: Labelled) => ContainerRow | undefined) | 'away';
/** What a record or row says of a container's instance. */
type Spoken = Instance & Pick<DesktopRecord, 'state' | 'host' | 'boot'>;

/**
 * Makes this host's engine and the records agree: what no record speaks for is removed, what ended by itself is told
 * of, what has expired is stopped. Running desktops outlive their worker: the next one finds them here and keeps them.
 * Redis may have forgotten: for want of a record nothing is removed that the ledger speaks for, or can't be asked about.
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
      // What runs here is shown as soon as this process may speak for its host.
      const againMs = this.#allowed() ? everyMs : Math.min(everyMs, UNTIL_ALLOWED_MS);
      await sleep(againMs, undefined, { signal }).catch(() => undefined);
    }
  }

  /** One sweep. A Redis or a list that can't be read ends it: what is unknown is not absent. */
  async once(): Promise<void> {
    const { engine, admission, records, metrics, log, name, starting } = this.#host;
    // The engine first: whatever it lists was recorded before it was created, so the records read after it know it.
    const listedAt = Date.now();
    const { containers, volumes } = await engine.list();
    const reserved = await admission.reserved();
    const known = new Map<string, DesktopRecord>();
    const members = await records.desktops.ofHost(name);
    // What can't be read is unknown, not absent: it is left alone.
    const unread = new Set<string>();
    const skip = createSkip(log, 'sweep', metrics);
    const read = async (ref: ContainerRef) => {
      const record = await records.desktops.get(ref).catch(unlessAway);
      if (record?.host === name && !hasEnded(record.state)) known.set(ref.containerId, record);
    };
    await each(members, AT_ONCE, read, (error, ref) => {
      unread.add(ref.containerId);
      skip(error, ref);
    });
    if (this.#allowed() && unread.size === 0) {
      await admission.agree(reserved, [...known.values()], (containerId) => starting.has(containerId));
    }
    // An instance that was made for no container may be one of those.
    const isRead = ({ containerId }: Labelled) =>
      unread.size === 0 || (containerId !== undefined && !unread.has(containerId));
    const recordOf = recordsByInstance([...known.values()]);
    const strangers = containers.filter((found) => isRead(found) && !this.#speaksFor(found, recordOf(found)));
    const bare = volumes.filter((volume) => isRead(volume) && !recordOf(volume));
    const rowOf = await this.#rows([...strangers, ...bare]);
    const kept = this.#allowed() ? await this.#host.volumes.agree(volumes, listedAt) : 'away';
    await each(strangers, AT_ONCE, (found) =>
      this.#apart(found, () => this.#reconcileOne(found, recordOf(found), known, rowOf)),
    );
    await each(bare, AT_ONCE, (volume) =>
      this.#apart(volume, async () => {
        const row = rowOf === 'away' ? rowOf : rowOf(volume);
        if (row === 'away' || (row?.host === name && !row.endedAt)) return;
        if (kept === 'away' || kept.has(volume.instanceId ?? '')) return;
        await this.#remove(volume, () => engine.removeVolume(volume.name));
      }),
    );
    await each(
      members.filter(({ containerId }) => !unread.has(containerId)),
      AT_ONCE,
      (ref) => this.#apart(ref, () => this.#tend(ref, known.get(ref.containerId))),
    );
    for (const state of CONTAINER_STATES) {
      metrics.desktops.set({ state }, [...known.values()].filter((record) => record.state === state).length);
    }
  }

  /** What fails for one desktop is tried again at the next sweep and holds up no other. */
  async #apart(of: Partial<Labelled>, work: () => Promise<void>): Promise<void> {
    const { containerId, instanceId } = of;
    await work().catch((err: unknown) => this.#host.log.warn({ err, containerId, instanceId }, 'not swept'));
  }

  /** An instance stays while the record, or row, of its container speaks for it. */
  #speaksFor(found: Found, record: Spoken | undefined): boolean {
    const { name, boot, starting } = this.#host;
    if (!record || hasEnded(record.state) || record.host !== name || !isInstance(found, record)) return false;
    return record.state !== 'starting' || record.boot === boot || starting.has(record.containerId);
  }

  async #reconcileOne(
    found: Found,
    record: DesktopRecord | undefined,
    known: Map<string, DesktopRecord>,
    rowOf: RowOf,
  ): Promise<void> {
    const { engine, records, screens, calls, sessions, log } = this.#host;
    // A row may know of a placement that this record has forgotten.
    if (rowOf === 'away') return;
    const row = rowOf(found);
    if (row && this.#speaksFor(found, { ...row, containerId: row.id })) {
      const restored = await records.desktops.restore(row);
      if (restored) log.info({ containerId: row.id }, 'swept: Redis had forgotten it');
      return;
    }
    // A start that is done by its job, and a record that does not know: the reconciler says so.
    if (record?.state === 'starting') {
      const start = await records.jobs.status(record.userId, record.jobId);
      if (start?.state === 'completed' && start.containerId === record.containerId) return;
    }
    await this.#remove(found, async () => {
      const { containerId } = found;
      // Another instance of the same container may run here.
      const shown = containerId !== undefined && (record !== undefined || !known.has(containerId));
      if (shown) {
        sessions.ended(containerId);
        calls.ended(containerId);
        await screens.ended(containerId, 'the desktop was removed');
      }
      await engine.removeContainer(found.id);
    });
  }

  /** This process started it, nothing of that is under way, and it runs: Redis has forgotten that it was said. */
  async #republish(record: DesktopRecord): Promise<void> {
    const { engine, records, log } = this.#host;
    const { containerId, fence } = record;
    if (!(await engine.findRunning(record))) return;
    if (this.#host.starting.has(containerId)) return;
    const verdict = await records.desktops.change(
      record,
      runningSince(parseSpec(record.spec), fence, Date.now()),
    );
    if (verdict === 'ok') log.info({ containerId }, 'swept: it runs, and Redis had forgotten so');
  }

  /** What became of a desktop's stop, of which Redis may not know. Rejects when the ledger is away. */
  async #stopOf(record: DesktopRecord): Promise<'open' | 'completed' | undefined> {
    const recordedEnds = await this.#host.ledger?.run((db) =>
      jobsOfDesktops(db, [{ id: record.containerId, userId: record.userId, jobId: record.jobId }]),
    );
    const stop = recordedEnds?.get(record.containerId)?.stop;
    if (!stop) return undefined;
    return stop.finishedAt ? (stop.state === 'completed' ? 'completed' : undefined) : 'open';
  }

  async #rows(found: Labelled[]): Promise<RowOf> {
    const { ledger } = this.#host;
    if (!ledger || found.length === 0) return () => undefined;
    const instances = [...new Set(found.flatMap(({ instanceId }) => instanceId ?? []))];
    const others = found.filter(({ instanceId }) => instanceId === undefined);
    const ids = [...new Set(others.flatMap(({ containerId }) => containerId ?? []))];
    try {
      const rows = await ledger.run(async (db) => [
        ...(instances.length > 0 ? await containersOfInstances(db, instances) : []),
        ...(ids.length > 0 ? await containersById(db, ids) : []),
      ]);
      return recordsByInstance(rows.map((row) => ({ ...row, containerId: row.id })));
    } catch (error) {
      unlessAway(error);
      return 'away';
    }
  }

  /** Not while a start in this process works for that container: it clears its own way. */
  async #remove({ containerId, instanceId }: Labelled, remove: () => Promise<void>): Promise<void> {
    if (!this.#allowed() || (containerId !== undefined && this.#host.starting.has(containerId))) return;
    await remove();
    this.#host.metrics.swept.inc({ what: 'orphan' });
    this.#host.log.info({ containerId, instanceId }, 'swept: no record speaks for it');
  }

  async #tend(ref: ContainerRef, record: DesktopRecord | undefined): Promise<void> {
    const { engine, records, metrics, log, name, starting } = this.#host;
    const { containerId } = ref;
    if (starting.has(containerId) || !this.#allowed()) return;
    if (!record) {
      const now = await records.desktops.get(ref);
      // Read again: it may have been placed here since.
      if (!now || now.host !== name || hasEnded(now.state)) await records.desktops.forget(name, ref);
      return;
    }
    const { fence, state, expiresAt } = record;
    if (state === 'stopping') {
      const stop = await records.jobs.status(record.userId, record.stopJobId);
      if (!stop || isTerminal(stop.state)) await stopDesktop(this.#host, record);
      return;
    }
    if (state === 'starting' && record.boot === this.#host.boot) return this.#republish(record);
    if (state !== 'running' && state !== 'paused') return;
    const found = await engine.find(record);
    if (!found?.running) {
      const stop = await this.#stopOf(record);
      if (stop === 'open') return;
      if (stop !== 'completed') {
        log.warn({ containerId }, 'swept: the desktop ended by itself');
        metrics.swept.inc({ what: 'exited' });
      }
      const end =
        stop === 'completed'
          ? { to: 'stopped' as const }
          : { to: 'failed' as const, error: failure('desktop_exited') };
      const verdict = await records.desktops.change(record, { ...end, fence, from: [state] });
      if (verdict !== 'ok') return;
      this.#host.sessions.ended(containerId);
      this.#host.calls.ended(containerId);
      await this.#host.screens.ended(containerId, 'the desktop ended by itself');
      await engine.removeInstance(record);
      await this.#host.admission.release(record);
      await this.#host.volumes.removed(record.instanceId);
      await records.desktops.forget(name, ref);
    } else if (expiresAt !== undefined && expiresAt <= Date.now()) {
      log.info({ containerId }, 'swept: the desktop has expired');
      metrics.swept.inc({ what: 'expired' });
      await stopDesktop(this.#host, record, 'expired');
    } else if (this.#isIdle(record)) {
      log.info({ containerId }, 'swept: nobody watched the desktop');
      metrics.swept.inc({ what: 'idle' });
      await stopDesktop(this.#host, record, 'idle');
    } else {
      this.#host.screens.runs(ref, found.id);
      this.#host.sessions.runs(ref, found.id, fence);
      this.#host.calls.runs(ref, fence);
      await records.desktops.touch(record, fence);
    }
  }

  /** Nobody has watched it for as long as it asked for; at most since this process knows it. */
  #isIdle({ containerId, spec }: DesktopRecord): boolean {
    const { idleSeconds } = parseSpec(spec);
    const idleMs = this.#host.screens.idleMs(containerId);
    return idleSeconds !== undefined && idleMs !== undefined && idleMs > idleSeconds * 1000;
  }
}

/** Finds the record of an instance among these; one of an earlier release goes by its container. */
function recordsByInstance<T extends Instance>(records: T[]): (found: Labelled) => T | undefined {
  const byInstance = new Map(records.map((record) => [record.instanceId, record]));
  const byContainer = new Map(records.map((record) => [record.containerId, record]));
  return (found) => {
    const { instanceId, containerId = '' } = found;
    const record = instanceId === undefined ? byContainer.get(containerId) : byInstance.get(instanceId);
    return record && isInstance(found, record) ? record : undefined;
  };
}

/** Without the ledger nothing is known of what Redis does not have. */
function unlessAway(error: unknown): undefined {
  if (!(error instanceof LedgerUnavailableError)) throw error;
}
