import type { ContainerState } from '@warmwind/shared/contract/containers';
import { Drain } from '@warmwind/shared/engine/node/drain';
import { Ledger } from '@warmwind/shared/engine/node/ledger';
import { Publisher } from '@warmwind/shared/engine/node/publisher';
import { Records } from '@warmwind/shared/engine/node/records';
import { createLog } from '@warmwind/shared/runtime/node/log';
import { connectFailFast } from '@warmwind/shared/runtime/node/redis';
import Docker from 'dockerode';
import { LABELS } from '../../../workers/containers/spec.ts';

/**
 * States of a desktop that is assigned to a host. A desktop that waits for one keeps waiting, for the next
 * start.
 */
const PLACED: ContainerState[] = ['starting', 'running', 'paused', 'stopping'];
const RECORDED_WITHIN_MS = 4000;

/**
 * Removes every container and volume with this fleet's label, in any state. One that is already gone is no
 * error.
 * @returns the number of removed desktops
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
 * Records and publishes that every desktop on these hosts has stopped. Call it when their workers and all
 * engine containers are gone. Changes that the ledger does not take now are drained at the next start.
 * @returns the numbers of changed desktops and of unpublished events
 * @throws Error within seconds when the queue Redis does not answer
 */
export async function recordStopped(
  urls: { queue: string; realtime: string; ledger: string | undefined },
  hosts: string[],
): Promise<{ stopped: number; unpublished: number }> {
  const log = createLog('stack');
  // The caller prints one line; a lost connection needs no second one.
  log.level = 'silent';
  const once = { lazyConnect: true, connectTimeout: 1000, retryStrategy: () => null };
  const queue = connectFailFast(urls.queue, 'stack', log, 1500, once);
  const realtime = connectFailFast(urls.realtime, 'stack', log, 1500, once);
  let stopped = 0;
  let unpublished = 0;
  const publisher = new Publisher(realtime, log, (events) => {
    unpublished += events;
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
      for (const ref of await records.containers.ofHost(host)) {
        const record = await records.containers.get(ref);
        if (record?.host !== host || !PLACED.includes(record.state)) continue;
        const { fence } = record;
        const stopping = await records.containers.change(ref, { to: 'stopping', fence, from: PLACED });
        if (stopping !== 'ok') continue;
        if ((await records.containers.change(ref, { to: 'stopped', fence })) === 'ok') stopped++;
        await records.containers.forget(host, ref);
      }
    }
    if (ledger) await drained(new Drain({ redis: queue, ledger, log }));
    // Kept events count as unpublished; ends are noted in Redis, and the next start publishes them.
    publisher.close();
    return { stopped, unpublished };
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

/** 404: gone. 409: another process is removing it. */
function ignoreGone(error: { statusCode?: number }): void {
  if (error.statusCode !== 404 && error.statusCode !== 409) throw error;
}
