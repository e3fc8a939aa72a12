import { setTimeout as sleep } from 'node:timers/promises';
import { CONTAINER_STATES, hasEnded } from '@warmwind/shared/contract/containers';
import { isTerminal } from '@warmwind/shared/contract/jobs';
import { containersById, containersOfInstances } from '@warmwind/shared/engine/ledger/reads';
import type { ContainerRow } from '@warmwind/shared/engine/ledger/rows';
import { LedgerUnavailableError } from '@warmwind/shared/engine/node/ledger';
import type { ContainerRecord, ContainerRef } from '@warmwind/shared/engine/node/records';
import { each } from '../each.ts';
import { pauseDesktop, reconcilePause } from '../pauses/pause.ts';
import { endOrphans } from '../programs/orphans.ts';
import { createSkip } from '../skip.ts';
import { endIfUnreachable, recordEnd } from './ended.ts';
import { type Found, isInstance, isWarm, type Labelled } from './found.ts';
import type { DesktopHost } from './host.ts';
import { runningSince } from './running.ts';
import { type Instance, parseSpec } from './spec.ts';
import { stopDesktop } from './stop.ts';

const SWEEP_EVERY_MS = 10_000;
/** Interval at which a process without the lease checks for it, ms. */
const LEASE_CHECK_MS = 250;
/** How many desktops are reconciled at a time. */
const AT_ONCE = 4;

/** Looks up the row of an instance's container; `unavailable` when the ledger is unavailable. */
type RowOf = ((found: Labelled) => ContainerRow | undefined) | 'unavailable';
/** The fields of a record or row that decide whether it claims an instance. */
type Claimant = Instance & Pick<ContainerRecord, 'state' | 'host' | 'boot'>;

/**
 * Reconciles this host's engine with the records. Removes instances without a record, fails desktops that
 * exited, and stops those that have expired or are idle. Running desktops outlive their worker: the next one
 * finds them here and keeps them. Redis may have lost a record: an instance stays while the ledger claims it
 * or is unavailable.
 */
export class Sweep {
  readonly #host: DesktopHost;
  readonly #holdsLease: () => boolean;
  readonly #stopped = new AbortController();
  #loop: Promise<void> | undefined;

  /** @param holdsLease whether this process holds the lease of its host */
  constructor(host: DesktopHost, holdsLease: () => boolean) {
    this.#host = host;
    this.#holdsLease = holdsLease;
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
      if (this.#holdsLease()) {
        await this.once().catch((error: unknown) => this.#host.log.warn({ err: error }, 'sweep failed'));
      }
      // Running desktops get their screens as soon as this process holds the host's lease.
      const againMs = this.#holdsLease() ? everyMs : Math.min(everyMs, LEASE_CHECK_MS);
      await sleep(againMs, undefined, { signal }).catch(() => undefined);
    }
  }

  /**
   * Sweeps once.
   * @throws when Redis or the engine's list can't be read: an unknown record is not an absent one
   */
  async once(): Promise<void> {
    const { engine, admission, pool, records, metrics, log, name, starting } = this.#host;
    // The engine first: every instance was recorded before it was created, so records read later include it.
    const listedAt = Date.now();
    const { containers, volumes } = await engine.list();
    // Before the records are read: an instance that left the pool since then is named by one of them.
    const pooled = new Set(
      [...containers, ...volumes].flatMap(({ instanceId = '' }) =>
        pool.claims(instanceId) ? [instanceId] : [],
      ),
    );
    await this.#host.offer.refresh();
    const reserved = await admission.reserved();
    const known = new Map<string, ContainerRecord>();
    const members = await records.containers.ofHost(name);
    // A record that can't be read is unknown, not absent: its instance is left alone.
    const unread = new Set<string>();
    const skip = createSkip(log, 'sweep', metrics);
    const read = async (ref: ContainerRef) => {
      const record = await records.containers.get(ref).catch(ignoreLedgerUnavailable);
      if (record?.host === name && !hasEnded(record.state)) known.set(ref.containerId, record);
    };
    await each(members, AT_ONCE, read, (error, ref) => {
      unread.add(ref.containerId);
      skip(error, ref);
    });
    if (this.#holdsLease() && unread.size === 0) {
      await admission.reconcile(
        reserved,
        [...known.values()],
        containers,
        (instanceId, containerId) =>
          pooled.has(instanceId) || pool.claims(instanceId) || starting.has(containerId),
      );
    }
    // An instance without a container may belong to one of the unread records.
    const isRead = ({ containerId }: Labelled) =>
      unread.size === 0 || (containerId !== undefined && !unread.has(containerId));
    const recordOf = recordsByInstance([...known.values()]);
    const isOpen = (found: Labelled) => isRead(found) && !pooled.has(found.instanceId ?? '');
    const unclaimed = containers.filter((found) => isOpen(found) && !this.#isClaimed(found, recordOf(found)));
    const orphanVolumes = volumes.filter((volume) => isOpen(volume) && !recordOf(volume));
    const rowOf = await this.#rows([...unclaimed, ...orphanVolumes]);
    const kept = this.#holdsLease() ? await this.#host.volumes.reconcile(volumes, listedAt) : 'unavailable';
    await each(unclaimed, AT_ONCE, (found) =>
      this.#isolated(found, () => this.#reconcileInstance(found, recordOf(found), known, rowOf)),
    );
    await each(orphanVolumes, AT_ONCE, (volume) =>
      this.#isolated(volume, async () => {
        const row = rowOf === 'unavailable' ? rowOf : rowOf(volume);
        if (row === 'unavailable' || (row?.host === name && !row.endedAt)) return;
        if (kept === 'unavailable' || kept.has(volume.instanceId ?? '')) return;
        await this.#remove(volume, () => engine.volumes.remove(volume.name));
      }),
    );
    await each(
      members.filter(({ containerId }) => !unread.has(containerId)),
      AT_ONCE,
      (ref) => this.#isolated(ref, () => this.#reconcileMember(ref, known.get(ref.containerId))),
    );
    admission.measure(reserved, metrics);
    for (const state of CONTAINER_STATES) {
      metrics.desktops.set({ state }, [...known.values()].filter((record) => record.state === state).length);
    }
  }

  /** Runs `work` for one desktop. A failure is logged and retried at the next sweep; the others continue. */
  async #isolated(of: Partial<Labelled>, work: () => Promise<void>): Promise<void> {
    const { containerId, instanceId } = of;
    await work().catch((err: unknown) =>
      this.#host.log.warn({ err, containerId, instanceId }, 'desktop not swept: the next sweep retries'),
    );
  }

  /** Whether the record, or row, of its container claims an instance, so that it stays. */
  #isClaimed(found: Found, record: Claimant | undefined): boolean {
    const { name, boot, starting } = this.#host;
    if (!record || hasEnded(record.state) || record.host !== name || !isInstance(found, record)) return false;
    return record.state !== 'starting' || record.boot === boot || starting.has(record.containerId);
  }

  async #reconcileInstance(
    found: Found,
    record: ContainerRecord | undefined,
    known: Map<string, ContainerRecord>,
    rowOf: RowOf,
  ): Promise<void> {
    const { engine, records, screens, calls, sessions, supervisors, pauses, log } = this.#host;
    // The row may hold a placement that Redis lost.
    if (rowOf === 'unavailable') return;
    const row = rowOf(found);
    if (row && this.#isClaimed(found, { ...row, containerId: row.id })) {
      const restored = await records.containers.restore(row);
      if (restored) log.info({ containerId: row.id }, 'swept: record restored, Redis had lost it');
      return;
    }
    // The job of the start has completed and the record is behind: the reconciler corrects it.
    if (record?.state === 'starting') {
      const start = await records.jobs.status(record.userId, record.jobId);
      if (start?.state === 'completed' && start.containerId === record.containerId) return;
    }
    // No label names the container of an instance that was taken from the warm pool.
    const containerId = record?.containerId ?? found.containerId;
    await this.#remove({ ...found, containerId }, async () => {
      // Another instance of the same container may run here.
      const shown = containerId !== undefined && (record !== undefined || !known.has(containerId));
      if (shown) {
        sessions.ended(containerId);
        calls.ended(containerId);
        supervisors.ended(containerId);
        pauses.forget(containerId);
        await screens.ended(containerId, 'the desktop was removed');
      }
      await engine.removeContainer(found.id);
    });
  }

  /** Records that a desktop runs whose start is over in this process: Redis has lost that change. */
  async #recordRunning(record: ContainerRecord): Promise<void> {
    const { engine, records, log } = this.#host;
    const { containerId, fence } = record;
    const found = await engine.findRunning(record);
    if (!found) return;
    if (this.#host.starting.has(containerId)) return;
    const verdict = await records.containers.change(
      record,
      runningSince(parseSpec(record.spec), { fence, startedAt: Date.now(), warm: isWarm(found) }),
    );
    if (verdict === 'ok')
      log.info({ containerId }, 'swept: running desktop recorded, Redis had lost its state');
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
      ignoreLedgerUnavailable(error);
      return 'unavailable';
    }
  }

  /**
   * Removes an unclaimed instance, unless a start of its container is active here: that one removes earlier
   * instances.
   */
  async #remove({ containerId, instanceId }: Labelled, remove: () => Promise<void>): Promise<void> {
    if (!this.#holdsLease() || (containerId !== undefined && this.#host.starting.has(containerId))) return;
    await remove();
    this.#host.metrics.swept.inc({ what: 'orphan' });
    this.#host.log.info({ containerId, instanceId }, 'swept: removed, no record claims it');
  }

  async #reconcileMember(ref: ContainerRef, record: ContainerRecord | undefined): Promise<void> {
    const { engine, records, metrics, log, name, starting } = this.#host;
    const { containerId } = ref;
    if (starting.has(containerId) || !this.#holdsLease()) return;
    if (!record) {
      const now = await records.containers.get(ref);
      // Read again: it may have been placed here in the meantime.
      if (!now || now.host !== name || hasEnded(now.state)) await records.containers.forget(name, ref);
      return;
    }
    const { state, expiresAt } = record;
    if (state === 'stopping') {
      const stop = await records.jobs.status(record.userId, record.stopJobId);
      if (!stop || isTerminal(stop.state)) await stopDesktop(this.#host, record);
      return;
    }
    if (state === 'starting' && record.boot === this.#host.boot) return this.#recordRunning(record);
    if (state !== 'running' && state !== 'paused') return;
    const found = await engine.find(record);
    if (!found?.running) {
      await recordEnd(this.#host, record);
    } else if (expiresAt !== undefined && expiresAt <= Date.now()) {
      // It may have been extended since the record was read.
      if (!(await stopDesktop(this.#host, record, 'expired', { whileExpiresAt: expiresAt }))) return;
      log.info({ containerId }, 'swept: desktop stopped, its time to live is over');
      metrics.swept.inc({ what: 'expired' });
    } else if (await endIfUnreachable(this.#host, record, found)) {
      return;
    } else if (this.#isIdle(record)) {
      await this.#endIdle(record);
    } else {
      await this.#keep(record, found);
    }
  }

  /** Serves a desktop that runs, or is paused, and records when it was last used. */
  async #keep(record: ContainerRecord, found: Found): Promise<void> {
    const { records, screens, sessions, calls, supervisors, log } = this.#host;
    const { containerId, fence, usedAt, state } = record;
    await reconcilePause(this.#host, record, found);
    const knownIdleMs = screens.idleMs(containerId);
    const lastUsedAt = knownIdleMs === undefined ? 0 : Math.round(Date.now() - knownIdleMs);
    const isLater = state === 'running' && lastUsedAt > (usedAt ?? 0);
    // A stop may have begun since the record was read: it has ended what would be registered here.
    if ((await records.containers.touch(record, fence, isLater ? lastUsedAt : undefined)) !== 'ok') return;
    // It may have been used until the sweep that would have recorded that.
    const idleMs = usedAt === undefined ? 0 : Math.max(0, Date.now() - usedAt - SWEEP_EVERY_MS);
    screens.runs(record, found.id, idleMs);
    sessions.runs(record, found.id, fence);
    calls.runs(record, fence);
    supervisors.runs(containerId, found.id);
    // A paused supervisor answers nothing.
    if (this.#host.pauses.by(containerId)) return;
    await endOrphans(this.#host, record).catch((err: unknown) =>
      log.debug({ err, containerId }, 'programs not swept: the next sweep retries'),
    );
  }

  /** Stops or pauses a desktop that was idle for its `idleSeconds`. */
  async #endIdle(record: ContainerRecord): Promise<void> {
    const { containerId, spec } = record;
    const { metrics, log } = this.#host;
    const { onIdle = 'stop' } = parseSpec(spec);
    // A request may have paused it since the record was read.
    const isDone =
      onIdle === 'stop'
        ? await stopDesktop(this.#host, record, 'idle', { from: ['running'] })
        : (await pauseDesktop(this.#host, record, 'idle', () => this.#isIdle(record))) === 'done';
    if (!isDone) return;
    log.info({ containerId, onIdle }, 'swept: desktop was idle');
    metrics.swept.inc({ what: 'idle' });
  }

  /** Whether it was not used for its `idleSeconds`. */
  #isIdle({ containerId, spec, state }: ContainerRecord): boolean {
    const { idleSeconds } = parseSpec(spec);
    const idleMs = this.#host.screens.idleMs(containerId);
    if (idleSeconds === undefined || idleMs === undefined || state !== 'running') return false;
    return idleMs > idleSeconds * 1000 && !this.#host.calls.hasOpen(containerId);
  }
}

/** Indexes records by instance. An instance of an earlier release is found by its container. */
function recordsByInstance<T extends Instance>(records: T[]): (found: Labelled) => T | undefined {
  const byInstance = new Map(records.map((record) => [record.instanceId, record]));
  const byContainer = new Map(records.map((record) => [record.containerId, record]));
  return (found) => {
    const { instanceId, containerId = '' } = found;
    const record = instanceId === undefined ? byContainer.get(containerId) : byInstance.get(instanceId);
    return record && isInstance(found, record) ? record : undefined;
  };
}

/**
 * Returns `undefined` for an unavailable ledger: a record that Redis lacks is then unknown.
 * @throws every other error
 */
function ignoreLedgerUnavailable(error: unknown): undefined {
  if (!(error instanceof LedgerUnavailableError)) throw error;
}
