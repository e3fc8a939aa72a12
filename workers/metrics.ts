import type { QueueDepth } from '@warmwind/shared/runtime/health';
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

/**
 * The metrics of a worker. Alert on failed jobs, backpressure 1, lease 0, engine errors, dropped events and
 * changes.
 */
export type Metrics = ReturnType<typeof createMetrics>;

/** @param refresh updates the depths of the queues before they are read; must not reject */
export function createMetrics(registry: Registry, refresh: () => Promise<unknown>) {
  const registers = [registry];
  const depth = new Gauge({
    name: 'warmwind_queue_jobs',
    help: 'Jobs in a queue by state; waiting counts waiting, prioritized and delayed ones.',
    labelNames: ['queue', 'state'],
    registers,
    collect: async () => void (await refresh()),
  });
  const backpressure = new Gauge({
    name: 'warmwind_queue_backpressure',
    help: '1 while more jobs wait in a queue than BACKPRESSURE_ABOVE.',
    labelNames: ['queue'],
    registers,
  });
  return {
    ...jobMetrics(registers),
    ...hostMetrics(registers),
    ...modelMetrics(registers),
    ...fleetMetrics(registers),
    depth: (queue: string, { backpressure: above, ...states }: QueueDepth) => {
      for (const [state, count] of Object.entries(states)) depth.set({ queue, state }, count);
      backpressure.set({ queue }, above ? 1 : 0);
    },
  };
}

/** Jobs, their queues and their webhooks. */
const jobMetrics = (registers: Registry[]) => ({
  jobs: new Counter({
    name: 'warmwind_jobs_total',
    help: 'Deliveries of jobs, by outcome.',
    labelNames: ['kind', 'outcome'],
    registers,
  }),
  jobSeconds: new Histogram({
    name: 'warmwind_job_duration_seconds',
    help: 'Duration of one delivery of a job.',
    labelNames: ['kind'],
    buckets: [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300],
    registers,
  }),
  silentWorkers: new Counter({
    name: 'warmwind_queue_workers_replaced_total',
    help: 'Queue workers that took nothing although jobs waited, and were replaced.',
    labelNames: ['queue'],
    registers,
  }),
  workerDeaths: new Counter({
    name: 'warmwind_worker_deaths_total',
    help: 'Worker processes that stopped beating and whose jobs and leases this process released.',
    registers,
  }),
  jobsMoved: new Counter({
    name: 'warmwind_jobs_moved_total',
    help: 'Active jobs of dead worker processes that this process moved back to their queue.',
    labelNames: ['queue'],
    registers,
  }),
  declaredDead: new Counter({
    name: 'warmwind_worker_declared_dead_total',
    help: 'Times that peers declared this process dead, because it was frozen or cut off from Redis.',
    registers,
  }),
  eventsDropped: new Counter({
    name: 'warmwind_events_dropped_total',
    help: 'Events that never reached the realtime Redis.',
    registers,
  }),
  recordsSkipped: new Counter({
    name: 'warmwind_records_skipped_total',
    help: 'Records that a part of the worker could not read and skipped.',
    labelNames: ['part'],
    registers,
  }),
  webhooks: new Counter({
    name: 'warmwind_webhooks_total',
    help: 'Tries to send a webhook or alert, by outcome.',
    labelNames: ['outcome'],
    registers,
  }),
});

/** A host and the containers on it. */
const hostMetrics = (registers: Registry[]) => ({
  lease: new Gauge({
    name: 'warmwind_host_lease_held',
    help: '1 while this process holds its host name.',
    registers,
  }),
  startSeconds: new Histogram({
    name: 'warmwind_desktop_start_seconds',
    help: 'From the placement of a desktop to its first RFB byte.',
    buckets: [0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 15],
    registers,
  }),
  warmPoolInstances: new Gauge({
    name: 'warmwind_warm_pool_instances',
    help: 'Instances in the warm pool of this process, by Docker image.',
    labelNames: ['image'],
    registers,
  }),
  warmPoolHits: new Counter({
    name: 'warmwind_warm_pool_hits_total',
    help: 'Starts that were completed with an instance of the warm pool.',
    registers,
  }),
  warmPoolMisses: new Counter({
    name: 'warmwind_warm_pool_misses_total',
    help: 'Starts that were not warm, by reason: the field of the request that requires a new one, `image`, `empty`, `no_room` or `failed`.',
    labelNames: ['reason'],
    registers,
  }),
  warmPoolRefills: new Counter({
    name: 'warmwind_warm_pool_refills_total',
    help: 'Attempts to add an instance to the warm pool, by outcome.',
    labelNames: ['outcome'],
    registers,
  }),
  desktops: new Gauge({
    name: 'warmwind_desktops',
    help: 'Desktops of this host by state, as of the last sweep.',
    labelNames: ['state'],
    registers,
  }),
  resources: new Gauge({
    name: 'warmwind_host_resources',
    help: 'Resources for desktops of this machine: used and capacity, as of the last sweep. Memory and disk in MB. Hosts of one machine report the same.',
    labelNames: ['resource', 'what'],
    registers,
  }),
  draining: new Gauge({
    name: 'warmwind_host_draining',
    help: '1 while this host takes no new desktops.',
    registers,
  }),
  waitingStarts: new Gauge({
    name: 'warmwind_waiting_starts',
    help: 'Starts of the fleet that wait for room, by reason. Every host reports the same.',
    labelNames: ['reason'],
    registers,
  }),
  swept: new Counter({
    name: 'warmwind_swept_total',
    help: 'Repairs by the sweep, by kind.',
    labelNames: ['what'],
    registers,
  }),
  engineErrors: new Counter({
    name: 'warmwind_docker_errors_total',
    help: 'Failed calls to the Docker Engine.',
    labelNames: ['call'],
    registers,
  }),
});

/** Models, their servers and GPUs. */
const modelMetrics = (registers: Registry[]) => ({
  tokens: new Counter({
    name: 'warmwind_tokens_total',
    help: 'Output tokens of models, as their servers count them.',
    labelNames: ['model'],
    registers,
  }),
  firstTokenSeconds: new Histogram({
    name: 'warmwind_first_token_seconds',
    help: 'From a request to a model server to its first token.',
    buckets: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
    registers,
  }),
  modelServers: new Gauge({
    name: 'warmwind_model_servers',
    help: 'Model servers of this worker by state.',
    labelNames: ['state'],
    registers,
  }),
  gpuCelsius: new Gauge({
    name: 'warmwind_gpu_temperature_celsius',
    help: 'Temperature of a GPU.',
    labelNames: ['gpu'],
    registers,
  }),
  gpuMemoryBytes: new Gauge({
    name: 'warmwind_gpu_memory_bytes',
    help: 'Memory of a GPU, used and total.',
    labelNames: ['gpu', 'what'],
    registers,
  }),
  gpuUtilization: new Gauge({
    name: 'warmwind_gpu_utilization',
    help: 'Utilization of a GPU, 0-1.',
    labelNames: ['gpu'],
    registers,
  }),
});

/** The tasks of the leaders, most of which concern the ledger. */
const fleetMetrics = (registers: Registry[]) => ({
  observer: new Gauge({
    name: 'warmwind_observer_leader',
    help: '1 in the one process that watches the queues.',
    registers,
  }),
  ledgerLeader: new Gauge({
    name: 'warmwind_ledger_leader',
    help: '1 in the one process that leads the tasks of the ledger.',
    registers,
  }),
  changes: new Counter({
    name: 'warmwind_changes_total',
    help: 'Changes that were moved from Redis into the ledger.',
    registers,
  }),
  changesDropped: new Counter({
    name: 'warmwind_changes_dropped_total',
    help: 'Changes that the ledger refused.',
    registers,
  }),
  reconciled: new Counter({
    name: 'warmwind_reconciled_total',
    help: 'Repairs by the reconciler, by kind.',
    labelNames: ['what'],
    registers,
  }),
  pruned: new Counter({
    name: 'warmwind_pruned_total',
    help: 'Rows pruned from the ledger, by kind.',
    labelNames: ['what'],
    registers,
  }),
});
