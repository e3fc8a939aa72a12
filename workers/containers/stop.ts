import { type EndReason, hasEnded } from '@warmwind/shared/contract/containers';
import { isTerminal } from '@warmwind/shared/contract/jobs';
import { SUBMIT_PLANS } from '@warmwind/shared/contract/plan';
import type { JobResults } from '@warmwind/shared/contract/registry';
import type { ContainerCondition, ContainerRecord, JobRef } from '@warmwind/shared/engine/node/records';
import { HOST_QUEUES, type JobData, LANES, queueJobId } from '@warmwind/shared/engine/queues';
import type { Handler } from '../runtime/delivery.ts';
import { enqueue } from '../runtime/enqueue.ts';
import { ForwardedError, RequeueError } from '../runtime/outcome.ts';
import type { DesktopHost } from './host.ts';

const MAX_LOOKS = 5;

/**
 * Creates the handler of `container.stop`. When it completes, no part of the desktop runs, whether it ever
 * started or not.
 */
export function createStop(host: DesktopHost): Handler<JobResults['container.stop']> {
  return async (job) => {
    const { containerId } = job.data;
    await job.progress(10, 'taken by a host');
    for (let look = 0; look < MAX_LOOKS; look++) {
      const record = await host.records.containers.get(job.data);
      if (!record) return { containerId };
      if (hasEnded(record.state)) {
        await host.records.containers.republish(record);
        return { containerId };
      }
      if (record.host && record.host !== host.name) {
        await forward(host, job.data, record.host);
        throw new ForwardedError();
      }
      await job.progress(30, 'desktop found');
      if (await stopDesktop(host, record)) {
        await job.progress(100, 'desktop gone');
        return { containerId };
      }
    }
    throw new RequeueError(1000);
  };
}

/** Moves a command to the queue of its lane at the desktop's host, or to that of placements while it has no host. */
export async function forward(
  { records, queue }: Pick<DesktopHost, 'records' | 'queue'>,
  data: JobData,
  host: string,
): Promise<void> {
  const [prefix, suffix] = SUBMIT_PLANS[data.kind]?.hostQueue ?? [HOST_QUEUES, LANES.control.suffix];
  const name = host ? `${prefix}${host}${suffix}` : 'containers';
  await records.jobs.requeue(data, undefined, name);
  // Commands precede all starts that wait for a host.
  await enqueue(queue(name), data, 0);
}

/**
 * Stops a desktop that is on this host, or on none.
 * @param reason the reason of a stop that was not requested
 * @param condition what a stop that was not requested requires of the record as it is by then
 * @returns false when the record changed meanwhile; read it again
 * @throws when the engine fails; the record is then `stopping` and the sweep retries
 */
export async function stopDesktop(
  host: DesktopHost,
  record: ContainerRecord,
  reason: EndReason | undefined = record.endReason,
  condition: Omit<ContainerCondition, 'fence'> = {},
): Promise<boolean> {
  const { engine, records, starting } = host;
  const { containerId, fence } = record;
  const start = starting.get(containerId);
  const change = { to: 'stopping' as const, fence, reason, ...condition };
  const stopping = await records.containers.change(record, change, async () => {
    const now = starting.get(containerId);
    now?.abort.abort();
    await now?.done;
  });
  if (stopping !== 'ok') return false;
  host.sessions.ended(containerId);
  host.calls.ended(containerId);
  host.supervisors.ended(containerId);
  host.pauses.forget(containerId);
  await host.screens.ended(containerId, 'the desktop was stopped');
  let wasUp = false;
  if (record.host === host.name) {
    const found = await engine.find(record);
    // It runs without an active start: the start completed, may have been published, and Redis lost it.
    const isStartLost = record.state === 'starting' && !start;
    wasUp = isStartLost && found?.running === true;
    // A frozen program would not receive SIGTERM.
    if (found?.paused) await engine.unpause(found.id);
    if (found?.running) await engine.stop(found.id);
    await engine.removeInstance(record);
    await Promise.all([host.admission.release(record), host.volumes.removed(record.instanceId)]);
  }
  if ((await records.containers.change(record, { to: 'stopped', fence, reason })) !== 'ok') return false;
  if (record.host) await records.containers.forget(record.host, record);
  await endStart(host, record, wasUp);
  return true;
}

/** Ends the job of the desktop's start, whether it waits or runs. */
async function endStart(
  { records, queue }: DesktopHost,
  record: ContainerRecord,
  wasUp: boolean,
): Promise<void> {
  const { userId, containerId, jobId, width, height, warm } = record;
  const start = await records.jobs.status(userId, jobId);
  // A later run of the job has a desktop of its own. A job with several desktops handles the loss of one
  // itself.
  if (!start || isTerminal(start.state) || start.containerId !== containerId || start.containerIds) return;
  const ref: JobRef = { userId, containerId, jobId, run: start.run, kind: start.kind };
  const result = { containerId, width, height, ...(warm ? { warm } : {}) };
  await records.jobs.end(ref, wasUp ? { state: 'completed', result } : { state: 'cancelled' });
  // An active entry can't be removed: its worker finds the run ended.
  await queue('containers')
    .remove(queueJobId(jobId, start.run))
    .catch(() => undefined);
}
