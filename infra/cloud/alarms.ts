import { primary, replica } from './ledger.ts';
import { caches } from './redis.ts';
import { relay } from './relay.ts';
import { dimensions, METRICS } from './scaling.ts';
import { alarmEmail } from './secrets.ts';
import { stage } from './stage.ts';

const topic = new aws.sns.Topic('Alarms', { kmsMasterKeyId: 'alias/aws/sns' });
new aws.sns.TopicSubscription('AlarmsByMail', {
  topic: topic.arn,
  protocol: 'email',
  endpoint: alarmEmail.value,
});

type Alarm = {
  namespace: string;
  metricName: string;
  dimensions: Record<string, $util.Input<string>>;
  statistic: 'Average' | 'Maximum' | 'Minimum' | 'Sum';
  /** A value must have crossed the bound in this direction for so many minutes. */
  comparison: 'above' | 'below';
  threshold: number;
  minutes: number;
  /** How missing data counts; it is usually no fault. */
  silence?: 'breaching' | 'notBreaching';
};

function alarm(name: string, about: string, options: Alarm): void {
  const {
    namespace,
    metricName,
    statistic,
    threshold,
    minutes,
    comparison,
    silence = 'notBreaching',
  } = options;
  new aws.cloudwatch.MetricAlarm(name, {
    alarmDescription: about,
    namespace,
    metricName,
    dimensions: options.dimensions,
    statistic,
    period: 60,
    evaluationPeriods: minutes,
    threshold,
    comparisonOperator: comparison === 'above' ? 'GreaterThanThreshold' : 'LessThanThreshold',
    treatMissingData: silence,
    alarmActions: [topic.arn],
    okActions: [topic.arn],
  });
}

alarm(
  'EdgeNotReady',
  'The edge is not ready or does not answer: /health/ready names the part that is away.',
  {
    ...{ namespace: METRICS, metricName: 'Ready', dimensions, statistic: 'Minimum' },
    ...{ comparison: 'below', threshold: 1, minutes: 3, silence: 'breaching' },
  },
);
alarm('Backpressure', 'More than 100 jobs wait or run: check whether the GPU group is at its largest size.', {
  ...{ namespace: METRICS, metricName: 'Backlog', dimensions, statistic: 'Minimum' },
  ...{ comparison: 'above', threshold: 100 * stage.gpu.max, minutes: 5 },
});

const balancer = { LoadBalancer: relay.balancer.nodes.loadBalancer.arnSuffix };
alarm('RelayErrors', 'The relay’s balancer answers 5xx: look at the tasks’ logs.', {
  ...{ namespace: 'AWS/ApplicationELB', metricName: 'HTTPCode_ELB_5XX_Count', dimensions: balancer },
  ...{ statistic: 'Sum', comparison: 'above', threshold: 20, minutes: 3 },
});

for (const [name, id] of Object.entries(caches)) {
  const own = { namespace: 'AWS/ElastiCache', dimensions: { ReplicationGroupId: id } };
  alarm(`${name}Memory`, `${name}: memory is nearly full. A full queue refuses writes: use a larger one.`, {
    ...{ ...own, metricName: 'DatabaseMemoryUsagePercentage', statistic: 'Maximum' },
    ...{ comparison: 'above', threshold: 80, minutes: 5 },
  });
  alarm(`${name}Cpu`, `${name}: its one thread is nearly busy.`, {
    ...{ ...own, metricName: 'EngineCPUUtilization', statistic: 'Maximum' },
    ...{ comparison: 'above', threshold: 80, minutes: 5 },
  });
}

const database = (instance: aws.rds.Instance) => ({
  namespace: 'AWS/RDS',
  dimensions: { DBInstanceIdentifier: instance.identifier },
});
alarm('LedgerDisk', 'The ledger’s disk is nearly full: it grows automatically up to its bound.', {
  ...{ ...database(primary), metricName: 'FreeStorageSpace', statistic: 'Minimum' },
  ...{ comparison: 'below', threshold: 10 * 2 ** 30, minutes: 5 },
});
alarm('LedgerCpu', 'The ledger is busy: look at Performance Insights.', {
  ...{ ...database(primary), metricName: 'CPUUtilization', statistic: 'Average' },
  ...{ comparison: 'above', threshold: 80, minutes: 10 },
});
alarm('ReplicaLag', 'The replica lags: the edge reads from the primary meanwhile.', {
  ...{ ...database(replica), metricName: 'ReplicaLag', statistic: 'Maximum' },
  ...{ comparison: 'above', threshold: 30, minutes: 5 },
});
