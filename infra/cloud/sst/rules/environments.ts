import type { Inputs, Recorded } from '../record.ts';

type Environment = Record<string, string>;

const isSsts = (name: string) => name.startsWith('SST_');

export const containers = (deployed: Recorded): { service: string; container: Inputs }[] =>
  deployed.all(':TaskDefinition').flatMap(({ name, inputs }) =>
    (JSON.parse(inputs.containerDefinitions) as Inputs[]).map((container) => ({
      service: name.replace(/Task$/, ''),
      container,
    })),
  );

/** The variables of a task's container, with its secrets and without SST's own. */
export function ofTask(deployed: Recorded, { secrets, environment }: Inputs): Environment {
  const parameters = deployed.all('ssm/parameter:Parameter');
  const secret = (arn: string) => parameters.find(({ inputs }) => arn.endsWith(inputs.name))?.inputs.value;
  return Object.fromEntries([
    ...environment
      .filter(({ name }: Inputs) => !isSsts(name))
      .map(({ name, value }: Inputs) => [name, value]),
    ...secrets.map(({ name, valueFrom }: Inputs) => [name, secret(valueFrom)]),
  ]);
}

/** The script that a new GPU host runs. */
export const bootScript = (deployed: Recorded): string =>
  Buffer.from(deployed.one(':LaunchTemplate', 'GpuTemplate').userData, 'base64').toString();

/**
 * The variables of a GPU host's worker: plain ones as the script writes them, and the parameters of its path.
 */
export function ofHost(deployed: Recorded): Environment {
  const script = bootScript(deployed);
  const written = /worker\.env <<END\n([\s\S]*?)\nEND/.exec(script)?.[1] ?? '';
  // When a name occurs twice, the first is the setting.
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
  return Object.fromEntries([...plain, ...secrets]);
}

export const bindings = (deployed: Recorded): Inputs[] =>
  deployed.one(':WorkersScript', 'EdgeScript').bindings;

export const textOf = (deployed: Recorded, name: string): string =>
  bindings(deployed).find((binding) => binding.name === name)?.text ?? '';

const linked = (deployed: Recorded, name: string) =>
  JSON.parse(textOf(deployed, `SST_RESOURCE_${name}`) || '{}').value;

/** The variables of the Worker after infra/local/edge/deployed.ts, without SST's own. */
export function ofEdge(deployed: Recorded): Environment {
  const plain = bindings(deployed).filter(({ type, name }) => type === 'plain_text' && !isSsts(name));
  return {
    ...Object.fromEntries(plain.map(({ name, text }) => [name, text])),
    AUTH_SECRET: linked(deployed, 'AuthSecret'),
    AUTH_SECRET_PREVIOUS: linked(deployed, 'AuthSecretPrevious'),
    WEBHOOK_SECRET: linked(deployed, 'WebhookSecret'),
    UPSTASH_REDIS_REST_TOKEN: linked(deployed, 'QueueToken'),
    LEDGER_DB: 'postgres://hyperdrive',
    LEDGER_READ_DB: 'postgres://hyperdrive',
  };
}
