import type { ContainerExit } from '@warmwind/shared/contract/containers';
import type { JobError } from '@warmwind/shared/contract/jobs';
import { jobsOfContainers } from '@warmwind/shared/engine/ledger/reads';
import type { ContainerRecord } from '@warmwind/shared/engine/node/records';
import { classify, JobFailureError } from '../runtime/failures.ts';
import { endedByRestart, hasRestarted, mayBeStopping } from './engine-restart.ts';
import { diagnose } from './exit.ts';
import type { Found } from './found.ts';
import type { DesktopHost } from './host.ts';

type End =
  | { to: 'stopped' }
  | { to: 'lost'; reason: 'engine_restarted' }
  | { to: 'failed'; error: JobError; exit: ContainerExit | undefined };

/** An end, and the text for viewers. */
type Ending = [End, string];

/**
 * Records the end of a desktop of which the engine no longer runs anything, and removes what is left of it. A
 * desktop whose stop is open is left to that.
 * @throws LedgerUnavailableError
 */
export async function recordEnd(host: DesktopHost, record: ContainerRecord): Promise<void> {
  const end = await endOf(host, record);
  if (end) await recordAs(host, record, end);
}

/**
 * Ends a desktop that runs and that its host can't reach since a restart of the engine. Engines before Docker 24
 * unmount the volume of its sockets when they come back with live-restore.
 * @returns whether it was ended
 */
export async function endIfUnreachable(
  host: DesktopHost,
  record: ContainerRecord,
  found: Found,
): Promise<boolean> {
  const { engine } = host;
  if (!(await engine.lacksSockets(found)) || !hasRestarted(await engine.remembers(record))) return false;
  await recordAs(host, record, lostByRestart(host, record));
  return true;
}

async function recordAs(host: DesktopHost, record: ContainerRecord, [change, why]: Ending): Promise<void> {
  const { engine, records, screens, sessions, calls, supervisors, pauses, admission, volumes } = host;
  const { containerId, fence, state } = record;
  const verdict = await records.containers.change(record, { ...change, fence, from: [state] });
  if (verdict !== 'ok') return;
  sessions.ended(containerId);
  calls.ended(containerId);
  supervisors.ended(containerId);
  pauses.forget(containerId);
  await screens.ended(containerId, why);
  await engine.removeInstance(record);
  await admission.release(record);
  await volumes.removed(record.instanceId);
  await records.containers.forget(host.name, record);
}

/** @returns `undefined` while its stop is open, or its engine may be stopping: the next sweep decides */
async function endOf(host: DesktopHost, record: ContainerRecord): Promise<Ending | undefined> {
  const { engine, metrics, log } = host;
  const { containerId } = record;
  const stop = await stopOf(host, record);
  if (stop === 'open') return undefined;
  if (stop === 'completed') return [{ to: 'stopped' }, 'the desktop was stopped'];
  const remembered = await engine.remembers(record);
  if (mayBeStopping(remembered, Date.now())) return undefined;
  if (endedByRestart(remembered)) return lostByRestart(host, record);
  log.warn({ containerId }, 'swept: desktop exited on its own');
  metrics.swept.inc({ what: 'exited' });
  const { exit, error } = await diagnose(host, record, new JobFailureError('desktop_exited'));
  return [{ to: 'failed', error: classify(error), exit }, 'the desktop exited on its own'];
}

function lostByRestart({ metrics, log }: DesktopHost, { containerId }: ContainerRecord): Ending {
  log.warn({ containerId }, 'swept: desktop lost, its engine was restarted');
  metrics.swept.inc({ what: 'engine_restarted' });
  return [{ to: 'lost', reason: 'engine_restarted' }, 'the engine of its host was restarted'];
}

/**
 * Reads the state of a desktop's stop from the ledger: Redis may have lost it.
 * @throws LedgerUnavailableError
 */
async function stopOf(
  { ledger }: DesktopHost,
  { containerId, userId, jobId }: ContainerRecord,
): Promise<'open' | 'completed' | undefined> {
  const jobs = await ledger?.run((db) => jobsOfContainers(db, [{ id: containerId, userId, jobId }]));
  const stop = jobs?.get(containerId)?.stop;
  if (!stop) return undefined;
  return stop.finishedAt ? (stop.state === 'completed' ? 'completed' : undefined) : 'open';
}
