import { type MetricObject, Registry } from 'prom-client';
import { Metrics as RelayMetrics } from '../../../relay/metrics.ts';
import { createMetrics as createWorkerMetrics } from '../../../workers/metrics.ts';
import { createScreenMetrics } from '../../../workers/screen/metrics.ts';
import { createUsageMetrics } from '../../../workers/usage/metrics.ts';
import { createMetrics as createGatewayMetrics } from '../../local/gateway/metrics.ts';
import { createMetrics as createModelMetrics } from '../../local/model-server/metrics.ts';
import { code, page, table } from './markdown.ts';

type Described = MetricObject & { labelNames?: string[] };

function worker(): Registry {
  const registry = new Registry();
  createWorkerMetrics(registry, async () => undefined);
  createScreenMetrics(registry);
  createUsageMetrics(registry, { measureAll: async () => new Map() });
  return registry;
}

function relay(): Registry {
  const metrics = new RelayMetrics();
  metrics.count('rooms', () => 0);
  metrics.count('viewers', () => 0);
  metrics.watchOutgoing(() => ({ events: 0, frames: 0 }));
  metrics.watchRedis({});
  return metrics.registry;
}

function gateway(): Registry {
  const registry = new Registry();
  createGatewayMetrics(registry, () => 0);
  return registry;
}

function modelServer(): Registry {
  const registry = new Registry();
  createModelMetrics(registry, () => ({ taken: 0, waiting: 0 }));
  return registry;
}

/** The metrics of the services, as their registries describe them. */
const METRICS: Record<string, Described[]> = {
  Worker: worker().getMetricsAsArray(),
  Relay: relay().getMetricsAsArray(),
  Gateway: gateway().getMetricsAsArray(),
  'Model server': modelServer().getMetricsAsArray(),
};

const row = ({ name, type, labelNames = [], help }: Described): string[] => [
  code(name),
  `${type}`,
  labelNames.map(code).join(', '),
  help,
];

/** `docs/reference/metrics.md`: every metric of ours, from the registries of the services. */
export const metrics = (): string =>
  page(
    'Metrics',
    [
      'workers/metrics.ts',
      'workers/screen/metrics.ts',
      'workers/usage/metrics.ts',
      'relay/metrics.ts',
      'infra/local/gateway/metrics.ts',
      'infra/local/model-server/metrics.ts',
    ],
    [
      '`GET /metrics` in Prometheus’ text format on each service’s port, together with the process metrics of `prom-client`. The gateway requires its token as a bearer token. The edge has no metrics: its log has its requests. Alerts: `docs/operations/monitor.md`.',
      ...Object.entries(METRICS).flatMap(([service, all]) => [
        `## ${service}`,
        table(['name', 'type', 'labels', 'help'], all.map(row)),
      ]),
    ],
  );
