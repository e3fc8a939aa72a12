import { type EndReason, hasEnded } from '@warmwind/shared/contract/containers';
import { isTerminal } from '@warmwind/shared/contract/jobs';
import type { JobResults } from '@warmwind/shared/contract/registry';
import type { DesktopRecord, JobRef } from '@warmwind/shared/engine/node/records';
import { hostQueue, type JobData, queueJobId } from '@warmwind/shared/engine/queues';
import type { Handler } from '../runtime/delivery.ts';
import { enqueue } from '../runtime/enqueue.ts';
import { ForwardedError, RequeueError } from '../runtime/outcome.ts';
import type { DesktopHost } from './host.ts';

const MAX_LOOKS = 5;

/** `container.stop`: when it completes nothing of the desktop runs, whether it ever did or not. */
export function createStop(host: DesktopHost): Handler<JobResults['container.stop']> {
  return async (job) => {
    const { containerId } = job.data;
    await job.progress(10, 'taken by a host');
    for (let look = 0; look < MAX_LOOKS; look++) {
      const record = await host.records.desktops.get(job.data);
      if (!record) return { containerId };
      if (hasEnded(record.state)) {
        await host.records.desktops.republish(record);
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

/** The command goes on where the desktop is: in its host's queue, or in that of placements while it has no host. */
export async function forward(
  { records, queue }: Pick<DesktopHost, 'records' | 'queue'>,
  data: JobData,
  host: string,
): Promise<void> {
  const name = host ? hostQueue(host) : 'containers';
  await records.jobs.requeue(data, undefined, name);
  // Commands go before all that waits for a place.
  await enqueue(queue(name), data, 0);
}

/**
 * Ends a desktop that is on this host, or on none. → false when the record was changed in between: look again.
 * Rejects when the engine does not do its part; the record then says `stopping` and the sweep goes on with it.
 *
 * @param reason when nobody asked for it
 */
export async function stopDesktop(
  host: DesktopHost,
  record: DesktopRecord,
  reason: EndReason | undefined = record.endReason,
): Promise<boolean> {
  const { engine, records, starting } = host;
  const { containerId, fence } = record;
  const start = starting.get(containerId);
  const stopping = await records.desktops.change(record, { to: 'stopping', fence, reason }, async () => {
    const now = starting.get(containerId);
    now?.abort.abort();
    await now?.done;
  });
  if (stopping !== 'ok') return false;
  host.sessions.ended(containerId);
  host.calls.ended(containerId);
  await host.screens.ended(containerId, 'the desktop was stopped');
  let wasUp = false;
  if (record.host === host.name) {
    const found = await engine.find(record);
    // Nobody works on its start and it runs: the start was done, perhaps told, and Redis has forgotten so.
    const forgotten = record.state === 'starting' && !start;
    wasUp = forgotten && found?.running === true;
    if (found?.running) await engine.stop(found.id);
    await engine.removeInstance(record);
    await Promise.all([host.admission.release(record), host.volumes.removed(record.instanceId)]);
  }
  if ((await records.desktops.change(record, { to: 'stopped', fence, reason })) !== 'ok') return false;
  if (record.host) await records.desktops.forget(record.host, record);
  await endStart(host, record, wasUp);
  return true;
}

/** The desktop's start has nothing left to do: whether it waits or runs, it ends here. */
async function endStart(
  { records, queue }: DesktopHost,
  record: DesktopRecord,
  wasUp: boolean,
): Promise<void> {
  const { userId, containerId, jobId, width, height } = record;
  const start = await records.jobs.status(userId, jobId);
  // By now the job may be at a later run, with a desktop of its own; one of several is its job's to miss.
  if (!start || isTerminal(start.state) || start.containerId !== containerId || start.containerIds) return;
  const ref: JobRef = { userId, containerId, jobId, run: start.run, kind: start.kind };
  const result = { containerId, width, height };
  await records.jobs.end(ref, wasUp ? { state: 'completed', result } : { state: 'cancelled' });
  // One that a worker holds can't be removed: that worker finds its run ended.
  await queue('containers')
    .remove(queueJobId(jobId, start.run))
    .catch(() => undefined);
}
