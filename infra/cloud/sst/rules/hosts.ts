import { execFileSync } from 'node:child_process';
import { bootScript, ofHost } from './environments.ts';
import { failing, type Rule } from './rule.ts';

export const hostRules: Rule[] = [
  {
    guarantee: 'a GPU host’s credentials are out of reach one hop away, and its disks are encrypted',
    violations: (deployed) => {
      const { metadataOptions, blockDeviceMappings, vpcSecurityGroupIds } = deployed.one(
        ':LaunchTemplate',
        'GpuTemplate',
      );
      return failing({
        'IMDSv1 answers': metadataOptions?.httpTokens === 'required',
        'containers reach the metadata': metadataOptions?.httpPutResponseHopLimit === 1,
        'a disk is not encrypted': blockDeviceMappings.every(
          ({ ebs }: { ebs: { encrypted?: string } }) => ebs.encrypted === 'true',
        ),
        'another group than its own': vpcSecurityGroupIds.join() === 'WorkerGroup-id',
      });
    },
  },
  {
    guarantee: 'no connection to a GPU host is permitted',
    violations: (deployed) =>
      deployed
        .all('SecurityGroupIngressRule')
        .filter(({ inputs }) => inputs.securityGroupId === 'WorkerGroup-id')
        .map(({ name }) => name),
  },
  {
    guarantee: 'a host joins when it is ready and leaves when it has drained',
    violations: (deployed) => {
      const { initialLifecycleHooks, instanceRefresh } = deployed.one('autoscaling/group:Group', 'Gpu');
      const hook = (transition: string) =>
        initialLifecycleHooks.find((found: { lifecycleTransition: string }) =>
          found.lifecycleTransition.endsWith(transition),
        );
      return failing({
        'no hook at its start': hook('LAUNCHING')?.defaultResult === 'ABANDON',
        'no hook at its end, or one that ends before the drain': hook('TERMINATING')?.heartbeatTimeout >= 60,
        'a refresh ends desktops': instanceRefresh?.preferences.scaleInProtectedInstances === 'Wait',
      });
    },
  },
  {
    guarantee: 'user data fits, is a script that parses, and stops a worker later than its own bound ends',
    violations: (deployed) => {
      const script = bootScript(deployed);
      const value = (name: string) => Number(new RegExp(`^${name}=(\\d+)$`, 'm').exec(script)?.[1]);
      return failing({
        'longer than 16 KB': script.length <= 16_384,
        'does not parse': parses(script),
        'killed while it drains': value('STOP_TIMEOUT_S') * 1000 > value('SHUTDOWN_TIMEOUT_MS'),
        'its fleet is another stage’s': script.includes(`FLEET=warmwind-${deployed.stage}\n`),
      });
    },
  },
  {
    guarantee: 'the workers’ board is for the host itself, behind a password',
    violations: (deployed) => {
      const script = bootScript(deployed);
      const { BIND, ADMIN_PASSWORD = '' } = ofHost(deployed);
      return failing({
        'the board listens to others than its host': BIND === '127.0.0.1',
        'its password is in user data': ADMIN_PASSWORD !== '' && !script.includes(ADMIN_PASSWORD),
      });
    },
  },
  {
    guarantee: 'a worker sees the GPUs of its host, and has no other right to it than the engine’s socket',
    violations: (deployed) => {
      const run =
        /docker run [^\n]*--name warmwind-worker(?:.*\\\n)*.*/.exec(bootScript(deployed))?.[0] ?? '';
      return failing({
        'it sees no GPU': run.includes('--gpus all,capabilities=utility'),
        'it can write or has capabilities': ['--read-only', '--cap-drop ALL', 'no-new-privileges'].every(
          (option) => run.includes(option),
        ),
        'it is privileged': !/--privileged|--cap-add|--pid/.test(run),
      });
    },
  },
  {
    guarantee: 'the fleet scales by backlog per host in service',
    violations: (deployed) => {
      const { targetTrackingConfiguration } = deployed.one('autoscaling/policy:Policy', 'GpuBacklog');
      const { metrics } = targetTrackingConfiguration.customizedMetricSpecification;
      const returned = metrics.filter(({ returnData }: { returnData: boolean }) => returnData);
      return failing({
        'not one figure': returned.length === 1,
        'not for each host': /backlog \/ .*hosts/.test(returned[0]?.expression ?? ''),
      });
    },
  },
];

/** Read by bash, not run. */
function parses(script: string): boolean {
  try {
    execFileSync('bash', ['-n'], { input: script, stdio: ['pipe', 'ignore', 'ignore'] });
    return true;
  } catch {
    return false;
  }
}
