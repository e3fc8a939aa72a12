import type { ContainerState } from '@warmwind/shared/contract/containers';
import { Drain } from '@warmwind/shared/engine/node/drain';
import { Ledger } from '@warmwind/shared/engine/node/ledger';
import { Publisher } from '@warmwind/shared/engine/node/publisher';
import { Records } from '@warmwind/shared/engine/node/records';
import { createLog } from '@warmwind/shared/runtime/node/log';
import { connectFailFast } from '@warmwind/shared/runtime/node/redis';
import Docker from 'dockerode';
import { LABELS } from '../../../workers/containers/spec.ts';

/** States of a desktop that has a place on a host. One that waits for a place keeps waiting, for the next start. */
const PLACED: ContainerState[] = ['starting', 'running', 'paused', 'stopping'];
const RECORDED_WITHIN_MS = 4000;

/**
 * Removes every container and volume that carries this fleet's label, whatever its state. Answers how many desktops there
 * were; what is already gone is no error.
 */
export async function removeDesktops(socketPath: string, fleet: string): Promise<number> {
  const docker = new Docker({ socketPath, timeout: 20_000 });
  const filters = { label: [`${LABELS.fleet}=${fleet}`] };
  const containers = await docker.listContainers({ all: true, filters });
  await Promise.all(
    containers.map(({ Id }) => docker.getContainer(Id).remove({ force: true, v: true }).catch(ignoreGone)),
  );
  const { Volumes } = await docker.listVolumes({ filters });
  await Promise.all(
    (Volumes ?? []).map(({ Name }) => docker.getVolume(Name).remove({ force: true }).catch(ignoreGone)),
  );
  return containers.length;
}

/**
 * Records, and tells, that every desktop placed on these hosts has stopped. Call it when their workers are gone and
 * nothing of the desktops runs any more. Answers how many were changed and how many events could not be told. Rejects,
 * within seconds, when the queue Redis does not do its part; what the ledger does not take now it takes at the next start.
 */
export async function recordStopped(
  urls: { queue: string; realtime: string; ledger: string | undefined },
  hosts: string[],
): Promise<{ stopped: number; untold: number }> {
  const log = createLog('stack');
  // The caller has one line for people; a lost connection needs no second one.
  log.level = 'silent';
  const once = { lazyConnect: true, connectTimeout: 1000, retryStrategy: () => null };
  const queue = connectFailFast(urls.queue, 'stack', log, 1500, once);
  const realtime = connectFailFast(urls.realtime, 'stack', log, 1500, once);
  let stopped = 0;
  let untold = 0;
  const publisher = new Publisher(realtime, log, (events) => {
    untold += events;
  });
  const ledger = urls.ledger === undefined ? undefined : new Ledger(urls.ledger, 'stack', log);
  const records = new Records(queue, publisher, ledger);
  const disconnect = () => {
    queue.disconnect();
    realtime.disconnect();
  };
  const late = setTimeout(disconnect, RECORDED_WITHIN_MS);
  try {
    await Promise.all([queue.connect(), realtime.connect().catch(() => undefined)]);
    for (const host of hosts) {
      for (const ref of await records.desktops.ofHost(host)) {
        const record = await records.desktops.get(ref);
        if (record?.host !== host || !PLACED.includes(record.state)) continue;
        const { fence } = record;
        const stopping = await records.desktops.change(ref, { to: 'stopping', fence, from: PLACED });
        if (stopping !== 'ok') continue;
        if ((await records.desktops.change(ref, { to: 'stopped', fence })) === 'ok') stopped++;
        await records.desktops.forget(host, ref);
      }
    }
    if (ledger) await drained(new Drain({ redis: queue, ledger, log }));
    // What it still keeps counts as untold; ends are noted, and the next start publishes them.
    publisher.close();
    return { stopped, untold };
  } finally {
    clearTimeout(late);
    publisher.close();
    disconnect();
    await ledger?.close();
  }
}

const drained = async (drain: Drain): Promise<void> => {
  try {
    while ((await drain.once()) > 0);
  } catch {
    // The changes stay in Redis.
  }
};

/** 404: gone. 409: somebody else is removing it right now. */
function ignoreGone(error: { statusCode?: number }): void {
  if (error.statusCode !== 404 && error.statusCode !== 409) throw error;
}
