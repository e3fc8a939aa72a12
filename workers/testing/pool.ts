import type Docker from 'dockerode';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { LABELS } from '../containers/spec.ts';
import type { Fleet, Worker } from './fleet.ts';

/** A busy machine creates few instances a minute, ms. */
const SOON_MS = 60_000;

/** What an instance of the warm pool is, and so a start that it serves without a change. */
export const POOLED = { width: 1280, height: 720, memoryMb: 512, cpus: 1 };

/** The settings of a worker with a pool of this size. */
export const withPool = (fleet: Fleet, size = 1): Record<string, string> => ({
  WARM_POOL: JSON.stringify({ desktop: size }),
  DESKTOP_IMAGES: JSON.stringify({ desktop: fleet.image }),
});

/** Lists the running instances of the pools of a fleet, which no container is. */
export async function pooledInstances(fleet: Fleet): Promise<Docker.ContainerInfo[]> {
  const rows = await fleet.postgres.sql<{ id: string }[]>`select id from volumes`;
  const placed = new Set(rows.map(({ id }) => id));
  return (await fleet.containers()).filter(
    ({ Labels, State }) =>
      State === 'running' && !Labels[LABELS.container] && !placed.has(Labels[LABELS.instance] ?? ''),
  );
}

/** Waits until the pool of a worker has instances that a start can take. @returns their engine containers */
export async function filledPool(fleet: Fleet, worker: Worker, size = 1): Promise<Docker.ContainerInfo[]> {
  return waitFor(
    `${size} in the warm pool`,
    async () => {
      const found = await pooledInstances(fleet);
      return (await metricOf(worker, 'warmwind_warm_pool_instances')) === size && found.length === size
        ? found
        : undefined;
    },
    SOON_MS,
  );
}

/** Reads a metric of a worker: the sum over its labels, or of those with these labels. */
export async function metricOf(
  { probes }: Worker,
  name: string,
  labels: Record<string, string> = {},
): Promise<number> {
  const metric = await probes.registry.getSingleMetric(name)?.get();
  const wanted = Object.entries(labels);
  const values = metric?.values.filter((one) => wanted.every(([key, value]) => one.labels[key] === value));
  return (values ?? []).reduce((sum, { value }) => sum + value, 0);
}
