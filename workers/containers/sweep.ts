import { setTimeout as sleep } from 'node:timers/promises';
import { CONTAINER_STATES, hasEnded } from '@warmwind/shared/containers';
import { isTerminal } from '@warmwind/shared/jobs';
import { containersById, jobsOfDesktops } from '@warmwind/shared/ledger/reads';
import type { ContainerRow } from '@warmwind/shared/ledger/rows';
import { LedgerAway } from '@warmwind/shared/node/ledger';
import type { ContainerRef, DesktopRecord } from '@warmwind/shared/node/records';
import { each } from '../each.ts';
import { failure } from '../runtime/failures.ts';
import { createSkip } from '../skip.ts';
import type { Found } from './engine.ts';
import type { DesktopHost } from './host.ts';
import { runningSince } from './running.ts';
import { parseSpec } from './spec.ts';
import { stopDesktop } from './stop.ts';

const SWEEP_EVERY_MS = 10_000;
const UNTIL_ALLOWED_MS = 250;
/** How many desktops are put right at a time. */
const AT_ONCE = 4;

/** Rows by container id; `away` when the ledger could not be asked. */
type Rows = Map<string, ContainerRow> | 'away';

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
    const { engine, records, metrics, log, name } = this.#host;
    // The engine first: whatever it lists was recorded before it was created, so the records read after it know it.
    const { containers, volumes } = await engine.list();
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
    const isRead = ({ containerId }: { containerId: string }) => !unread.has(containerId);
    const strangers = containers.filter(
      (found) => isRead(found) && !this.#speaksFor(found, known.get(found.containerId)),
    );
    const bare = volumes.filter((volume) => isRead(volume) && !known.has(volume.containerId));
    const rows = await this.#rows([...strangers, ...bare].map(({ containerId }) => containerId));
    await each(strangers, AT_ONCE, (found) =>
      this.#apart(found.containerId, () => this.#judge(found, known.get(found.containerId), rows)),
    );
    await each(bare, AT_ONCE, ({ containerId }) =>
      this.#apart(containerId, async () => {
        const row = rows === 'away' ? rows : rows.get(containerId);
        if (row === 'away' || (row?.host === name && !row.endedAt)) return;
        await this.#remove(containerId, () => engine.removeVolume(containerId));
      }),
    );
    await each(members.filter(isRead), AT_ONCE, (ref) =>
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

  /** A container stays while its record, or row, speaks for this very placement. */
  #speaksFor(
    { fence, containerId }: Found,
    record: Pick<DesktopRecord, 'state' | 'host' | 'boot' | 'fence'> | undefined,
  ): boolean {
    const { name, boot, starting } = this.#host;
    if (!record || hasEnded(record.state) || record.host !== name || record.fence !== fence) return false;
    return record.state !== 'starting' || record.boot === boot || starting.has(containerId);
  }

  async #judge(found: Found, record: DesktopRecord | undefined, rows: Rows): Promise<void> {
    const { engine, records, log, name } = this.#host;
    const { id, containerId, fence } = found;
    if (!record || record.fence <= fence) {
      if (rows === 'away') return;
      const row = rows.get(containerId);
      if (row && this.#speaksFor(found, row)) {
        if (await records.desktops.restore(row)) log.info({ containerId }, 'swept: Redis had forgotten it');
        return;
      }
    }
    // A start that is done by its job, and a record that does not know: the reconciler says so.
    if (record?.state === 'starting' && record.host === name && record.fence === fence) {
      const start = await records.jobs.standing(record.userId, record.jobId);
      if (start?.state === 'completed' && start.containerId === containerId) return;
    }
    await this.#remove(containerId, () => engine.removeContainer(id));
    if (!record) await this.#remove(containerId, () => engine.removeVolume(containerId));
  }

  /** This process started it, nothing of that is under way, and it runs: Redis has forgotten that it was said. */
  async #sayAgain(record: DesktopRecord): Promise<void> {
    const { engine, records, log } = this.#host;
    const { containerId, fence } = record;
    if (!(await engine.findRunning(containerId, fence))) return;
    if (this.#host.starting.has(containerId)) return;
    const verdict = await records.desktops.change(
      record,
      runningSince(parseSpec(record.spec), fence, Date.now()),
    );
    if (verdict === 'ok') log.info({ containerId }, 'swept: it runs, and Redis had forgotten so');
  }

  /** What became of a desktop's stop, of which Redis may not know. Rejects when the ledger is away. */
  async #stopOf(record: DesktopRecord): Promise<'open' | 'completed' | undefined> {
    const told = await this.#host.ledger?.run((db) =>
      jobsOfDesktops(db, [{ id: record.containerId, userId: record.userId, jobId: record.jobId }]),
    );
    const stop = told?.get(record.containerId)?.stop;
    if (!stop) return undefined;
    return stop.finishedAt ? (stop.state === 'completed' ? 'completed' : undefined) : 'open';
  }

  async #rows(ids: string[]): Promise<Rows> {
    const { ledger } = this.#host;
    if (!ledger || ids.length === 0) return new Map();
    try {
      const rows = await ledger.run((db) => containersById(db, [...new Set(ids)]));
      return new Map(rows.map((row) => [row.id, row]));
    } catch (error) {
      unlessAway(error);
      return 'away';
    }
  }

  /** Not while a start in this process works under that name: it clears its own way. */
  async #remove(containerId: string, remove: () => Promise<void>): Promise<void> {
    if (this.#host.starting.has(containerId) || !this.#allowed()) return;
    await this.#host.screens.ended(containerId, 'the desktop was removed');
    await remove();
    this.#host.metrics.swept.inc({ what: 'orphan' });
    this.#host.log.info({ containerId }, 'swept: no record speaks for it');
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
      const stop = await records.jobs.standing(record.userId, record.stopJobId);
      if (!stop || isTerminal(stop.state)) await stopDesktop(this.#host, record);
      return;
    }
    if (state === 'starting' && record.boot === this.#host.boot) return this.#sayAgain(record);
    if (state !== 'running' && state !== 'paused') return;
    const found = await engine.find(containerId);
    if (!found || found === 'foreign' || !found.running) {
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
      await this.#host.screens.ended(containerId, 'the desktop ended by itself');
      await engine.removePlacement(containerId, fence);
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

/** Without the ledger nothing is known of what Redis does not have. */
function unlessAway(error: unknown): undefined {
  if (!(error instanceof LedgerAway)) throw error;
}
