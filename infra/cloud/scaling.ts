import { hosts as addresses } from './dns.ts';
import { hosts } from './gpu.ts';
import { stage } from './stage.ts';

/** Backlog of one host in jobs; above it hosts are added. */
const BACKLOG_PER_HOST = 4;

/** The metric of infra/cloud/gpu-host/backlog.ts, written each minute. */
export const METRICS = 'Warmwind';
export const dimensions = { Stage: $app.stage };

new sst.aws.CronV2('Backlog', {
  schedule: 'rate(1 minute)',
  retries: 0,
  function: {
    handler: 'infra/cloud/gpu-host/backlog.handler',
    runtime: 'nodejs22.x',
    timeout: '20 seconds',
    memory: '256 MB',
    logging: { retention: stage.logs },
    environment: { READY_URL: `https://${addresses.edge}/health/ready`, STAGE: $app.stage },
  },
});

/**
 * Scales by the backlog per host in service: the same backlog means less for a fleet of forty than for two
 * hosts.
 */
new aws.autoscaling.Policy('GpuBacklog', {
  autoscalingGroupName: hosts.name,
  policyType: 'TargetTrackingScaling',
  estimatedInstanceWarmup: 300,
  targetTrackingConfiguration: {
    targetValue: BACKLOG_PER_HOST,
    customizedMetricSpecification: {
      metrics: [
        {
          id: 'backlog',
          metricStat: {
            metric: {
              namespace: METRICS,
              metricName: 'Backlog',
              dimensions: [{ name: 'Stage', value: $app.stage }],
            },
            stat: 'Maximum',
          },
          returnData: false,
        },
        {
          id: 'hosts',
          metricStat: {
            metric: {
              namespace: 'AWS/AutoScaling',
              metricName: 'GroupInServiceInstances',
              dimensions: [{ name: 'AutoScalingGroupName', value: hosts.name }],
            },
            stat: 'Average',
          },
          returnData: false,
        },
        { id: 'each', expression: 'backlog / IF(hosts > 0, hosts, 1)', returnData: true },
      ],
    },
  },
});
