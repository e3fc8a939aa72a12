import { dns } from './dns.ts';
import { cluster, PORTS, vpc } from './network.ts';
import { arns, parameters } from './secrets.ts';
import { isProduction, SHUTDOWN_MS, STOP_TIMEOUT_S, stage } from './stage.ts';

type Container = Record<string, unknown>;
type Group = aws.ec2.SecurityGroup;

/**
 * Closes what SST leaves open: all ports, a writable disk, a shell for operators, groups of the complete
 * network, 30 s to stop.
 */
export const hardened = (group: Group, port?: number) => ({
  service: (args: aws.ecs.ServiceArgs, options: $util.CustomResourceOptions) => {
    args.networkConfiguration = {
      subnets: vpc.privateSubnets,
      securityGroups: [group.id],
      assignPublicIp: false,
    };
    args.enableExecuteCommand = false;
    args.deploymentMinimumHealthyPercent = 100;
    args.deploymentMaximumPercent = 200;
    args.propagateTags = 'SERVICE';
    if (port) {
      args.healthCheckGracePeriodSeconds = 60;
      // The autoscaler owns it: a deployment would reset it to the minimum.
      options.ignoreChanges = ['desiredCount'];
    }
    return undefined;
  },
  taskDefinition: (args: aws.ecs.TaskDefinitionArgs) => {
    args.containerDefinitions = $util.output(args.containerDefinitions).apply((json) =>
      JSON.stringify(
        (JSON.parse(json) as Container[]).map((container) => ({
          ...container,
          user: '1000:1000',
          stopTimeout: STOP_TIMEOUT_S,
          readonlyRootFilesystem: true,
          pseudoTerminal: false,
          portMappings: port ? [{ containerPort: port }] : [],
          linuxParameters: { initProcessEnabled: true, capabilities: { drop: ['ALL'] } },
        })),
      ),
    );
    return undefined;
  },
});

type WebServiceOptions = {
  /** A target of infra/images/Dockerfile, and the reader of its secrets. */
  target: 'relay' | 'gateway';
  host: string;
  port: number;
  size: { cpu: '0.5 vCPU' | '1 vCPU'; memory: '1 GB' | '2 GB'; min: number; max: number };
  balancer: Group;
  group: Group;
  environment: Record<string, $util.Input<string>>;
  /** Kept as encrypted parameters: the task's description does not show them. */
  secrets: Record<string, $util.Input<string>>;
};

/** One of our services in containers behind a balancer of its own, on 443 only. */
export function webService(name: string, options: WebServiceOptions) {
  const { target, host, port, size, environment, secrets } = options;
  const balancer = new sst.aws.Alb(`${name}Balancer`, {
    vpc,
    domain: { name: host, dns },
    listeners: [{ port: PORTS.https, protocol: 'https' }],
    transform: {
      // SST's own group opens all ports; ours takes its place.
      securityGroup: { ingress: [], egress: [] },
      loadBalancer: (args) => {
        args.securityGroups = [options.balancer.id];
        args.enableDeletionProtection = isProduction;
        args.dropInvalidHeaderFields = true;
        // Sockets send a ping every 25 s, and give up after another 20.
        args.idleTimeout = 120;
      },
      listener: { sslPolicy: 'ELBSecurityPolicy-TLS13-1-2-2021-06' },
    },
  });

  // The balancer would choose any task: metrics are read inside the network.
  new aws.lb.ListenerRule(`${name}NoMetrics`, {
    listenerArn: balancer.getListener('https', PORTS.https).arn,
    priority: 1,
    conditions: [{ pathPattern: { values: ['/metrics', '/metrics/*'] } }],
    actions: [
      {
        type: 'fixed-response',
        fixedResponse: { statusCode: '404', contentType: 'application/json', messageBody: '{}' },
      },
    ],
  });

  const forward = `${port}/http` as const;
  const service = new sst.aws.Service(name, {
    cluster,
    image: { context: '.', dockerfile: 'infra/images/Dockerfile', target },
    cpu: size.cpu,
    memory: size.memory,
    architecture: 'x86_64',
    environment: {
      BIND: '0.0.0.0',
      PORT: `${port}`,
      LOG_LEVEL: 'info',
      SHUTDOWN_TIMEOUT_MS: `${SHUTDOWN_MS}`,
      ...environment,
    },
    ssm: arns(parameters(target, secrets)),
    logging: { retention: stage.logs },
    scaling: { min: size.min, max: size.max, cpuUtilization: 60, memoryUtilization: false },
    // A stuck process is replaced.
    health: {
      command: ['CMD', 'node', 'infra/images/probe.mjs', '/health/live'],
      startPeriod: '10 seconds',
      interval: '15 seconds',
      timeout: '5 seconds',
      retries: 3,
    },
    loadBalancer: {
      instance: balancer,
      rules: [{ listen: '443/https', forward, conditions: { path: '/*' }, priority: 100 }],
      // A task that is not ready gets nothing new. It is replaced only after a minute: a failover of Redis
      // makes all unready.
      health: {
        [forward]: {
          path: '/health/ready',
          interval: '10 seconds' as const,
          timeout: '5 seconds' as const,
          healthyThreshold: 2,
          unhealthyThreshold: 6,
        },
      },
    },
    transform: {
      ...hardened(options.group, port),
      target: (args) => {
        args.loadBalancingAlgorithmType = 'least_outstanding_requests';
        // Short: the task gets its SIGTERM afterwards, and then spreads its sockets itself.
        args.deregistrationDelay = 5;
      },
    },
  });
  return { service, balancer };
}
