import { Counter, Gauge, type Registry } from 'prom-client';
import type { Measured, Usages } from './usages.ts';

/** The most containers with series of their own: a host has fewer, unless it has hundreds of GB of memory. */
const MAX_CONTAINERS = 256;

/**
 * Creates the metrics of each container on this host. They are measured when they are read, and hold only containers that run
 * here then. No metric names a user.
 */
export function createUsageMetrics(registry: Registry, usages: Pick<Usages, 'measureAll'>): void {
  const registers = [registry];
  type Show = (containerId: string, measured: Measured) => void;
  const fill = async (metric: { reset(): void }, show: Show) => {
    const all = await usages.measureAll();
    metric.reset();
    for (const [containerId, measured] of [...all].slice(0, MAX_CONTAINERS)) show(containerId, measured);
  };
  /** Of each field that is known, its value under the value of a second label. */
  const gauge = (
    name: string,
    help: string,
    read: (measured: Measured) => Record<string, number | undefined>,
  ) =>
    new Gauge({
      name,
      help,
      labelNames: ['container', 'what'],
      registers,
      async collect() {
        await fill(this, (container, measured) => {
          for (const [what, value] of Object.entries(read(measured)))
            if (value !== undefined) this.set({ container, what }, value);
        });
      },
    });
  new Counter({
    name: 'warmwind_container_cpu_seconds_total',
    help: 'CPU time of a container since its start.',
    labelNames: ['container'],
    registers,
    async collect() {
      await fill(this, (container, { cpuNs = 0 }) => this.inc({ container }, cpuNs / 1e9));
    },
  });
  new Counter({
    name: 'warmwind_container_network_bytes_total',
    help: 'Bytes that a container received and sent.',
    labelNames: ['container', 'direction'],
    registers,
    async collect() {
      await fill(this, (container, { received, sent }) => {
        this.inc({ container, direction: 'received' }, received);
        this.inc({ container, direction: 'sent' }, sent);
      });
    },
  });
  gauge('warmwind_container_memory_bytes', 'Memory of a container, used and limit.', (measured) => ({
    used: measured.memoryUsed,
    limit: measured.memoryLimit,
  }));
  gauge('warmwind_container_home_bytes', 'The home of a container, used and limit.', (measured) => ({
    used: measured.homeUsed,
    limit: measured.homeLimit,
  }));
  gauge('warmwind_container_tasks', 'Processes and threads of a container.', (measured) => ({
    processes: measured.supervised ? measured.processes : undefined,
    threads: measured.threads,
  }));
}
