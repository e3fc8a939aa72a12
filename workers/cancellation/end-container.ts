import type { ContainerRef } from '@warmwind/shared/engine/node/records';
import type { DesktopHost } from '../containers/host.ts';
import { stopDesktop } from '../containers/stop.ts';

/**
 * Creates a function that ends the container of a cancelled start if it is on `hostName`: this host, or
 * '' for a container without a host. A call for a container that is already being ended here does nothing.
 */
export function createEndContainer(
  host: DesktopHost,
): (ref: ContainerRef, hostName: string) => Promise<void> {
  const ending = new Set<string>();
  return async (ref, hostName) => {
    const { containerId } = ref;
    if (ending.has(containerId)) return;
    ending.add(containerId);
    try {
      const record = await host.records.containers.get(ref);
      if (record?.state === 'stopping' && record.host === hostName) await stopDesktop(host, record);
    } finally {
      ending.delete(containerId);
    }
  };
}
