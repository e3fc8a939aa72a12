import { readConfig as readEdgeConfig } from '../../../../edge/config.ts';
import { readConfig as readRelayConfig } from '../../../../relay/config.ts';
import { readConfig as readWorkerConfig } from '../../../../workers/config.ts';
import type { Service } from '../../../images/build.ts';
import { misplaced } from '../../../images/settings.ts';
import { Config as GatewayConfig } from '../../../local/gateway/config.ts';
import { Config as PoolerConfig } from '../../../local/pooler/settings.ts';
import type { Recorded } from '../record.ts';
import { bootScript, containers, ofEdge, ofHost, ofTask } from './environments.ts';
import { failing, type Rule } from './rule.ts';

type Environment = Record<string, string>;

/** Our deployed services, each with its environment. The tunnel is not our program. */
function environments(deployed: Recorded): [Service, Environment][] {
  const tasks = containers(deployed)
    .filter(({ service }) => service !== 'Tunnel')
    .map(({ service, container }): [Service, Environment] => [
      service.toLowerCase() as Service,
      ofTask(deployed, container),
    ]);
  return [...tasks, ['worker', ofHost(deployed)], ['edge', ofEdge(deployed)]];
}

const READ: Record<Service, (env: Environment) => unknown> = {
  edge: readEdgeConfig,
  relay: readRelayConfig,
  worker: readWorkerConfig,
  gateway: (env) => GatewayConfig.parse(env),
  pooler: (env) => PoolerConfig.parse(env),
};

/** Settings that are off unless stage.ts enables them, and settings that no deployment needs. */
const leftOut = (service: Service, env: Environment, stage: string): string[] => {
  const off = (name: string) => (name in env ? [] : [name]);
  if (service === 'edge') {
    // The edge reaches the relay by its public address, as browsers do, and the ledger through Hyperdrive.
    return ['RELAY_INTERNAL_URL', 'LEDGER_POOLER', ...off('AUTH_JWKS_URL')];
  }
  if (service !== 'worker') return [];
  // The model server is on the host's own loopback.
  return ['MODEL_SERVER_KEY', ...(stage === 'production' ? [] : off('ALERT_WEBHOOK_URL'))];
};

/** The settings of a process, which receives URLs instead of bindings. */
const variables = (env: Environment): string[] =>
  Object.keys(env).map((name) => name.replace(/^(LEDGER|LEDGER_READ)_DB$/, '$1_URL'));

export const settingRules: Rule[] = [
  {
    guarantee: 'every service accepts the environment that it gets',
    violations: (deployed) =>
      environments(deployed).flatMap(([service, env]) => {
        try {
          READ[service](env);
          return [];
        } catch (error) {
          return [`${service}: ${error instanceof Error ? error.message : error}`];
        }
      }),
  },
  {
    guarantee: 'it gets each variable that has no default, and none that it does not read',
    violations: (deployed) =>
      environments(deployed).flatMap(([service, env]) =>
        misplaced(service, variables(env), leftOut(service, env, deployed.stage)),
      ),
  },
  {
    guarantee: 'every image that the edge offers is pulled by hosts, under the name that it offers',
    violations: (deployed) => {
      const offered = JSON.parse(ofEdge(deployed).DESKTOP_IMAGES ?? '{}') as Record<string, string>;
      const pulled = /^DESKTOP_IMAGES=(.*)$/m.exec(bootScript(deployed))?.[1]?.split(',') ?? [];
      const names = pulled.map((named) => `warmwind/${named.split('=')[0]}:latest`);
      return Object.values(offered).flatMap((image) =>
        failing({ [`no host has ${image}`]: names.includes(image) }),
      );
    },
  },
];
