import { ApiError } from '@warmwind/shared/contract/errors';
import { iso } from '@warmwind/shared/runtime/times';
import type { CallHandlers } from '../calls/call.ts';
import type { Measured, Usages } from '../usage/usages.ts';

/** Creates the handler of `container.metrics`. */
export const createMetricsCall =
  (usages: Usages): CallHandlers['container.metrics'] =>
  async ({ containerId, log }) => {
    const measured = await usages.measure(containerId).catch((err: unknown) => {
      log.debug({ err }, 'container not measured');
      return undefined;
    });
    if (!measured)
      throw new ApiError('unavailable', 'The desktop can not be measured now: ask again in a moment.');
    return metricsOf(measured);
  };

function metricsOf({ supervised, at, cpuPercent, ...usage }: Measured) {
  const { cpuNs = 0, memoryUsed = 0, memoryLimit = 0, homeUsed, homeLimit, threads = 0 } = usage;
  const hasHome = homeUsed !== undefined && homeLimit !== undefined;
  return {
    measuredAt: iso(at),
    cpuSeconds: cpuNs / 1e9,
    ...(cpuPercent === undefined ? {} : { cpuPercent: Math.round(cpuPercent * 10) / 10 }),
    memory: { usedBytes: memoryUsed, limitBytes: memoryLimit },
    ...(hasHome ? { home: { usedBytes: homeUsed, limitBytes: homeLimit } } : {}),
    network: { receivedBytes: usage.received, sentBytes: usage.sent },
    ...(supervised ? { processes: usage.processes } : {}),
    threads,
  };
}
