import { execFileSync } from 'node:child_process';
import { readConfig } from '../../../workers/config.ts';
import { failing, type Rule } from './rule.ts';

export const hostRules: Rule[] = [
  {
    guarantee: 'a GPU host hands its credentials to nobody one hop away, and its disks are encrypted',
    broken: (deployed) => {
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
    guarantee: 'nobody may open a connection to a GPU host',
    broken: (deployed) =>
      deployed
        .all('SecurityGroupIngressRule')
        .filter(({ inputs }) => inputs.securityGroupId === 'WorkerGroup-id')
        .map(({ name }) => name),
  },
  {
    guarantee: 'a host joins when it is ready and leaves when it has drained',
    broken: (deployed) => {
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
    broken: (deployed) => {
      const { userData } = deployed.one(':LaunchTemplate', 'GpuTemplate');
      const script = Buffer.from(userData, 'base64').toString();
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
    guarantee: 'a worker on a GPU host accepts the environment that it gets',
    broken: (deployed) => {
      const { userData } = deployed.one(':LaunchTemplate', 'GpuTemplate');
      const script = Buffer.from(userData, 'base64').toString();
      const written = /worker\.env <<END\n([\s\S]*?)\nEND/.exec(script)?.[1] ?? '';
      // Where a name stands twice, the first is the setting.
      const settings = new Map(
        script
          .split('\n')
          .reverse()
          .map((line) => line.split('=') as [string, string]),
      );
      settings.set('instance', 'i-0123456789abcdef0');
      const plain = written.split('\n').map((line): [string, string] => {
        const [name = '', value = ''] = line.split('=');
        return [name, value.startsWith('$') ? (settings.get(value.slice(1)) ?? '') : value];
      });
      const own = `/warmwind/${deployed.stage}/worker/`;
      const secrets = deployed
        .all('ssm/parameter:Parameter')
        .filter(({ inputs }) => inputs.name.startsWith(own))
        .map(({ inputs }): [string, string] => [inputs.name.slice(own.length), inputs.value]);
      try {
        readConfig(Object.fromEntries([...plain, ...secrets]));
        return [];
      } catch (error) {
        return [error instanceof Error ? error.message : String(error)];
      }
    },
  },
  {
    guarantee: 'the fleet scales by backlog per host in service',
    broken: (deployed) => {
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
