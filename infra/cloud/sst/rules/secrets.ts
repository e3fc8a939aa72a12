import type { Inputs, Recorded } from '../record.ts';
import { bootScript, containers } from './environments.ts';
import type { Rule } from './rule.ts';

/** Every password and token that the replaced providers return contains this word. */
const MARK = 'SECRET';

type Variable = { where: string; name: string; value: string };

/** All that a reader of a deployment sees without a right to its secrets. */
function plain(deployed: Recorded): Variable[] {
  return [
    ...containers(deployed).flatMap(({ service, container }) => [
      ...(container.environment as Variable[]).map((variable) => ({ ...variable, where: service })),
      { where: service, name: 'command', value: (container.command ?? []).join(' ') },
    ]),
    ...deployed.all(':Function').flatMap(({ name, inputs }) =>
      Object.entries(inputs.environment?.variables ?? {}).map(([variable, value]) => ({
        where: name,
        name: variable,
        value: String(value),
      })),
    ),
    ...deployed
      .all(':WorkersScript')
      .flatMap(({ name, inputs }) =>
        (inputs.bindings as Inputs[])
          .filter(({ type }) => type !== 'secret_text')
          .map((binding) => ({ where: name, name: binding.name, value: JSON.stringify(binding) })),
      ),
    { where: 'GpuTemplate', name: 'user data', value: bootScript(deployed) },
    ...deployed
      .all(':Image')
      .flatMap(({ name, inputs }) => [
        { where: name, name: 'build arguments', value: JSON.stringify(inputs.buildArgs ?? {}) },
      ]),
  ];
}

export const secretRules: Rule[] = [
  {
    guarantee: 'no plain environment, user data or command contains a secret',
    violations: (deployed) =>
      plain(deployed)
        .filter(({ value }) => value.includes(MARK) || /-----BEGIN|:\/\/[^/@\s]+:[^/@\s]+@/.test(value))
        .map(({ where, name }) => `${where}: ${name}`),
  },
  {
    guarantee: 'parameters that hold secrets are encrypted',
    violations: (deployed) =>
      deployed
        .all('ssm/parameter:Parameter')
        .filter(({ inputs }) => inputs.type !== 'SecureString')
        .map(({ name }) => name),
  },
  {
    guarantee: 'what a container reads as a secret is a parameter of its own path',
    violations: (deployed) => {
      const names = deployed.all('ssm/parameter:Parameter').map(({ inputs }) => inputs.name as string);
      return containers(deployed).flatMap(({ service, container }) =>
        (container.secrets as { name: string; valueFrom: string }[])
          .filter(({ name, valueFrom }) => {
            const own = `/warmwind/${deployed.stage}/${service.toLowerCase()}/${name}`;
            return !names.includes(own) || !valueFrom.endsWith(own);
          })
          .map(({ name }) => `${service}: ${name}`),
      );
    },
  },
  {
    guarantee: 'a GPU host may read its own parameters and no others',
    violations: (deployed) => {
      const role = JSON.stringify(deployed.one('iam/role:Role', 'GpuHost'));
      const paths = [...role.matchAll(/parameter(\/[^"\\]*|\*)/g)].map(([, path]) => path);
      const own = `/warmwind/${deployed.stage}/worker`;
      return paths.length === 1 && paths[0] === own ? [] : [`GpuHost reads ${paths.join(', ')}`];
    },
  },
];
