import { refusedState } from '@warmwind/shared/contract/call-refusal';
import { hasEnded, type PausedBy } from '@warmwind/shared/contract/containers';
import type { JobResults } from '@warmwind/shared/contract/registry';
import type { ContainerRecord, ContainerRef } from '@warmwind/shared/engine/node/records';
import type { Found } from '../containers/found.ts';
import type { DesktopHost } from '../containers/host.ts';
import { forward } from '../containers/stop.ts';
import type { Handler, JobContext } from '../runtime/delivery.ts';
import { JobFailureError } from '../runtime/failures.ts';
import { ForwardedError, RequeueError } from '../runtime/outcome.ts';

/** How long open calls may still take before a requested pause aborts them, ms. */
const FINISH_MS = 2000;
/** The delay before the next look at a desktop whose record changed meanwhile, ms. */
const RECHECK_MS = 250;

/** `done`: the desktop is as requested. `elsewhere`: another host has it. `changed`: its record changed meanwhile. */
type Outcome = 'done' | 'over' | 'elsewhere' | 'changed';

/** Creates the handler of `container.pause`. When it completes, no program of the desktop runs. */
export const createPause =
  (host: DesktopHost): Handler<JobResults['container.pause']> =>
  (job) =>
    settle(host, job, () => pauseDesktop(host, job.data, 'request'));

/** Creates the handler of `container.resume`. When it completes, all programs of the desktop run. */
export const createResume =
  (host: DesktopHost): Handler<JobResults['container.resume']> =>
  (job) =>
    settle(host, job, () => resumeDesktop(host, job.data));

async function settle(
  host: DesktopHost,
  job: JobContext,
  work: () => Promise<Outcome>,
): Promise<{ containerId: string }> {
  const { containerId } = job.data;
  const outcome = await work();
  if (outcome === 'done') return { containerId };
  if (outcome === 'over') throw new JobFailureError('desktop_not_running');
  const record = outcome === 'elsewhere' ? await host.records.containers.get(job.data) : undefined;
  if (!record?.host || record.host === host.name) throw new RequeueError(RECHECK_MS);
  await forward(host, job.data, record.host);
  throw new ForwardedError();
}

/**
 * Pauses a desktop of this host: the record first, then the engine, then the event. The sweep repeats what a
 * process that dies in between has left out. Calls that are open finish first, or end with `paused`; those
 * with effects end with `outcome_unknown`.
 * @param isWanted checked before anything is done
 */
export function pauseDesktop(
  host: DesktopHost,
  ref: ContainerRef,
  by: PausedBy,
  isWanted: () => boolean = () => true,
): Promise<Outcome> {
  const { records, pauses, calls } = host;
  const { containerId } = ref;
  return pauses.change(containerId, async () => {
    const record = await records.containers.get(ref);
    const other = outcomeWithout(host, record);
    if (other || !record) return other ?? 'over';
    const { state, fence, pausedBy } = record;
    if (state === 'paused' && (pausedBy === by || by === 'idle')) {
      await reconcile(host, record, await host.engine.find(record));
      return 'done';
    }
    // No await may come between the check and the mark: a request waits for the mark, or prevents the pause.
    if (!isWanted()) return 'changed';
    pauses.begin(containerId, by);
    if (by === 'request') await calls.finish(containerId, FINISH_MS, refusedState('paused'));
    const change = { to: 'paused' as const, by, fence, from: [state] };
    let isRecorded = false;
    try {
      const verdict = await records.containers.change(record, change, () => {
        isRecorded = true;
        return freeze(host, record);
      });
      if (verdict === 'ok') return 'done';
    } catch (error) {
      // The mark is as before, unless the record says that it is paused: a retry, or the sweep, freezes it then.
      if (!isRecorded && pausedBy) pauses.begin(containerId, pausedBy);
      if (!isRecorded && !pausedBy) pauses.end(containerId);
      throw error;
    }
    pauses.end(containerId);
    return 'changed';
  });
}

/**
 * Resumes a desktop of this host: the record first, then the engine, then the event.
 * @param paused only one that was paused by this; any if left out
 */
export function resumeDesktop(host: DesktopHost, ref: ContainerRef, paused?: PausedBy): Promise<Outcome> {
  const { records, pauses } = host;
  return pauses.change(ref.containerId, async () => {
    const record = await records.containers.get(ref);
    const other = outcomeWithout(host, record);
    if (other || !record) return other ?? 'over';
    const { state, fence, pausedBy } = record;
    if (state === 'running' || (paused && pausedBy !== paused)) {
      await reconcile(host, record, await host.engine.find(record));
      return 'done';
    }
    const change = { to: 'resumed' as const, fence, from: [state] };
    const verdict = await records.containers.change(record, change, () => thaw(host, record));
    return verdict === 'ok' ? 'done' : 'changed';
  });
}

/** The outcome of a change of a record that this host can't make; `undefined` for one that it can. */
function outcomeWithout(
  host: DesktopHost,
  record: ContainerRecord | undefined,
): 'over' | 'elsewhere' | undefined {
  if (!record || hasEnded(record.state) || record.state === 'stopping') return 'over';
  if (record.host !== host.name) return 'elsewhere';
  return record.state === 'running' || record.state === 'paused' ? undefined : 'over';
}

async function freeze({ engine }: DesktopHost, record: ContainerRecord): Promise<void> {
  const found = await engine.find(record);
  if (found?.running && !found.paused) await engine.pause(found.id);
}

async function thaw({ engine, screens, pauses }: DesktopHost, record: ContainerRecord): Promise<void> {
  const found = await engine.find(record);
  if (found?.paused) await engine.unpause(found.id);
  screens.use(record.containerId);
  pauses.end(record.containerId);
}

/**
 * Makes the engine, and this process, agree with the record of a desktop that runs or is paused. Called by
 * the sweep: a process may have died between the record and the engine, or somebody used the engine directly.
 */
export async function reconcilePause(
  host: DesktopHost,
  record: ContainerRecord,
  found: Found,
): Promise<void> {
  const { containerId, pausedBy } = record;
  if (agrees(record, found) && host.pauses.by(containerId) === pausedBy) return;
  await host.pauses.change(containerId, async () => {
    const now = await host.records.containers.get(record);
    if (!now || outcomeWithout(host, now)) return;
    const foundNow = await host.engine.find(now);
    if (foundNow && !agrees(now, foundNow)) {
      host.metrics.swept.inc({ what: now.state === 'paused' ? 'paused' : 'resumed' });
      host.log.info({ containerId, state: now.state }, 'swept: the engine agrees with the record again');
    }
    await reconcile(host, now, foundNow);
  });
}

const agrees = ({ state }: ContainerRecord, found: Found): boolean => found.paused === (state === 'paused');

async function reconcile(
  host: DesktopHost,
  record: ContainerRecord,
  found: Found | undefined,
): Promise<void> {
  const { engine, pauses, records } = host;
  const { containerId, state, pausedBy = 'request' } = record;
  if (state === 'paused') {
    pauses.begin(containerId, pausedBy);
    if (found?.running && !found.paused) await engine.pause(found.id);
  } else {
    if (found?.paused) await engine.unpause(found.id);
    pauses.end(containerId);
  }
  await records.containers.republishPause(record);
}
