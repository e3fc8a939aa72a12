import { hosts as addresses } from './dns.ts';
import { hosts } from './gpu.ts';
import { stage } from './stage.ts';

/** Jobs that one host works off; more for each host add hosts. */
const BACKLOG_PER_HOST = 4;

/** Written each minute, see infra/cloud/gpu-host/backlog.ts. */
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

/** By backlog per host in service, and never by the list's length alone: a fleet of forty has another one than two. */
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
