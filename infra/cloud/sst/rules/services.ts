import type { Inputs, Recorded } from '../record.ts';
import { containers, ofTask } from './environments.ts';
import { failing, type Rule } from './rule.ts';

const ORCHESTRATOR_MIN_S = 30;
const LIVE = '/health/live';
const READY = '/health/ready';

const own = (deployed: Recorded) => containers(deployed).filter(({ service }) => service !== 'Tunnel');

export const serviceRules: Rule[] = [
  {
    guarantee: 'a deployment leaves the scale of a service to its autoscaler',
    violations: (deployed) =>
      deployed
        .all('appautoscaling/target:Target')
        .filter(({ inputs }) => inputs.minCapacity < inputs.maxCapacity)
        .map(({ name }) => name.replace(/AutoScalingTarget$/, 'Service'))
        .filter((scaled) => {
          const service = deployed.all('ecs/service:Service').find(({ name }) => name === scaled);
          return !service?.ignored.includes('desiredCount');
        })
        .map((scaled) => `${scaled} is scaled by each deployment`),
  },
  {
    guarantee: 'a container is killed later than its service’s own bound ends, and not before 30 s',
    violations: (deployed) =>
      containers(deployed).flatMap(({ service, container }) => {
        const drain =
          container.environment.find(({ name }: Inputs) => name === 'SHUTDOWN_TIMEOUT_MS')?.value ?? 0;
        const { stopTimeout = 0 } = container;
        return failing({
          [`${service} is stopped after ${stopTimeout} s`]:
            stopTimeout >= ORCHESTRATOR_MIN_S && stopTimeout * 1000 > Number(drain) && stopTimeout <= 120,
        });
      }),
  },
  {
    guarantee: 'balancers ask whether a task is ready, the orchestrator whether it lives',
    violations: (deployed) => [
      ...deployed.all(':TargetGroup').flatMap(({ name, inputs: { healthCheck } }) =>
        failing({
          [`${name} asks ${healthCheck.path}`]: healthCheck.path === READY && healthCheck.interval === 10,
        }),
      ),
      ...own(deployed).flatMap(({ service, container: { healthCheck } }) =>
        failing({
          [`${service} is asked ${healthCheck?.command}`]: healthCheck?.command.at(-1) === LIVE,
          [`${service} is asked at another interval`]:
            healthCheck?.interval === 15 && healthCheck.startPeriod === 10 && healthCheck.retries === 3,
        }),
      ),
    ],
  },
  {
    guarantee:
      'containers run without rights: no root, no capabilities, no writable disk, one port, no shell',
    violations: (deployed) => [
      ...containers(deployed).flatMap(({ service, container }) =>
        failing({
          [`${service} runs as root`]: /^[1-9]\d*:[1-9]\d*$/.test(container.user ?? ''),
          [`${service} can write`]: container.readonlyRootFilesystem === true,
          [`${service} has capabilities`]: container.linuxParameters.capabilities.drop.includes('ALL'),
          [`${service} opens other ports`]: container.portMappings.every(
            ({ containerPort }: Inputs) => containerPort > 0,
          ),
          [`${service} has no init`]: container.linuxParameters.initProcessEnabled === true,
        }),
      ),
      ...deployed
        .all('ecs/service:Service')
        .filter(({ inputs }) => inputs.enableExecuteCommand !== false)
        .map(({ name }) => `${name} has a shell`),
    ],
  },
  {
    guarantee: 'a task can be reached by its balancer',
    violations: (deployed) =>
      own(deployed).flatMap(({ service, container }) =>
        failing({ [`${service} accepts no connection`]: ofTask(deployed, container).BIND === '0.0.0.0' }),
      ),
  },
  {
    guarantee:
      'balancers carry sockets: fewest requests first, idle longer than pings, drained quickly, TLS of today',
    violations: (deployed) => [
      ...deployed.all('lb/loadBalancer:LoadBalancer').flatMap(({ name, inputs }) =>
        failing({
          [`${name} disconnects idle sockets`]: inputs.idleTimeout > 45,
          [`${name} can be deleted`]: inputs.enableDeletionProtection || deployed.stage !== 'production',
        }),
      ),
      ...deployed.all(':TargetGroup').flatMap(({ name, inputs }) =>
        failing({
          [`${name} does not route by least outstanding requests`]:
            inputs.loadBalancingAlgorithmType === 'least_outstanding_requests',
          [`${name} delays the stop of a task`]: inputs.deregistrationDelay <= 10,
        }),
      ),
      ...deployed.all('lb/listener:Listener').flatMap(({ name, inputs }) =>
        failing({
          [`${name} is not HTTPS`]:
            inputs.protocol === 'HTTPS' && inputs.port === 443 && inputs.certificateArn,
          [`${name} takes old TLS`]: /TLS13/.test(inputs.sslPolicy ?? ''),
        }),
      ),
      ...failing({
        'metrics are public': deployed
          .all('lb/listenerRule:ListenerRule')
          .some(
            ({ inputs }) => inputs.priority === 1 && inputs.actions[0].fixedResponse?.statusCode === '404',
          ),
      }),
    ],
  },
  {
    guarantee: 'services and hosts scale within bounds: at least two relays, never one alone',
    violations: (deployed) => {
      const targets = deployed.all('appautoscaling/target:Target');
      const { minSize, maxSize } = deployed.one('autoscaling/group:Group', 'Gpu');
      const live = deployed.stage === 'production';
      return [
        ...targets.flatMap(({ name, inputs: { minCapacity, maxCapacity } }) =>
          failing({
            [`${name}: ${minCapacity}–${maxCapacity}`]: minCapacity >= 2 && maxCapacity >= minCapacity,
          }),
        ),
        ...failing({
          [`Gpu: ${minSize}–${maxSize}`]: minSize >= (live ? 2 : 1) && maxSize > minSize && maxSize <= 100,
          'relays scale by their sockets': deployed.has('appautoscaling/policy:Policy', 'RelaySockets'),
        }),
      ];
    },
  },
];
