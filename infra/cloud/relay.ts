import { hosts } from './dns.ts';
import { ledgerUrl } from './ledger.ts';
import { groups, PORTS } from './network.ts';
import { queue, realtime } from './redis.ts';
import { authSecret, authSecretPrevious } from './secrets.ts';
import { webService } from './service.ts';
import { stage } from './stage.ts';

/** Sockets that one task carries before another is added. */
const SOCKETS_PER_TASK = 2000;

export const relay = webService('Relay', {
  target: 'relay',
  host: hosts.relay,
  port: PORTS.relay,
  size: stage.relay,
  balancer: groups.relayBalancer,
  group: groups.relay,
  environment: { EDGE_ORIGINS: `https://${hosts.edge}` },
  secrets: {
    REDIS_QUEUE_URL: queue.url,
    REDIS_REALTIME_URL: realtime.url,
    LEDGER_URL: ledgerUrl,
    AUTH_SECRET: authSecret.value,
    AUTH_SECRET_PREVIOUS: authSecretPrevious.value,
  },
});

const { autoScalingTarget, service } = relay.service.nodes;
const dimension = 'LoadBalancer';
const loadBalancer = relay.balancer.nodes.loadBalancer.arnSuffix;

new aws.appautoscaling.Policy('RelaySockets', {
  serviceNamespace: autoScalingTarget.serviceNamespace,
  scalableDimension: autoScalingTarget.scalableDimension,
  resourceId: autoScalingTarget.resourceId,
  policyType: 'TargetTrackingScaling',
  targetTrackingScalingPolicyConfiguration: {
    targetValue: SOCKETS_PER_TASK,
    scaleOutCooldown: 60,
    // Each task that is removed makes its sockets reconnect.
    scaleInCooldown: 900,
    customizedMetricSpecification: {
      metrics: [
        {
          id: 'connections',
          metricStat: {
            metric: {
              namespace: 'AWS/ApplicationELB',
              metricName: 'ActiveConnectionCount',
              dimensions: [{ name: dimension, value: loadBalancer }],
            },
            stat: 'Sum',
          },
          returnData: false,
        },
        {
          id: 'tasks',
          metricStat: {
            metric: {
              namespace: 'ECS/ContainerInsights',
              metricName: 'RunningTaskCount',
              dimensions: [
                {
                  name: 'ClusterName',
                  value: $util.output(service).cluster.apply((arn) => arn.split('/').at(-1) ?? ''),
                },
                { name: 'ServiceName', value: $util.output(service).name },
              ],
            },
            stat: 'Average',
          },
          returnData: false,
        },
        // The balancer counts both of its sides.
        { id: 'sockets', expression: 'connections / 2 / IF(tasks > 0, tasks, 1)', returnData: true },
      ],
    },
  },
});
