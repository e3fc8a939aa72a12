import type { ContainerStats } from 'dockerode';
import type { Usage } from '../supervisor/process.ts';

/** Fields that the engine leaves out on some kernels, and for containers without a network. */
type Stats = Omit<ContainerStats, 'memory_stats' | 'networks'> & {
  memory_stats: { usage?: number; limit?: number; stats?: Record<string, number> };
  networks?: Record<string, { rx_bytes: number; tx_bytes: number }>;
};

/** Reads the engine's sample. `processes` is 0: the engine counts threads alone. */
export function usageFromStats({ cpu_stats, memory_stats, pids_stats, networks }: Stats): Usage {
  const { usage = 0, limit = 0, stats = {} } = memory_stats;
  // Pages of files that the kernel drops when memory is needed, in the second and the first version of cgroups.
  const cache = stats.inactive_file ?? 0;
  const dropped = stats.total_inactive_file ?? cache;
  const interfaces = Object.values(networks ?? {});
  return {
    cpuNs: cpu_stats.cpu_usage.total_usage,
    memoryUsed: Math.max(0, usage - dropped),
    memoryLimit: limit,
    received: interfaces.reduce((sum, { rx_bytes }) => sum + rx_bytes, 0),
    sent: interfaces.reduce((sum, { tx_bytes }) => sum + tx_bytes, 0),
    processes: 0,
    threads: pids_stats?.current ?? 0,
  };
}
