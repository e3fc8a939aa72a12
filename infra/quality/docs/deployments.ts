import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, parseAllDocuments } from 'yaml';
import type { Service } from '../../images/build.ts';

const INFRA = join(import.meta.dirname, '../..');
const KUBERNETES = join(INFRA, 'self-host/kubernetes');
const text = (path: string): string => readFileSync(join(INFRA, path), 'utf8');

// biome-ignore lint/suspicious/noExplicitAny: documents of many kinds are read by field name
type Document = Record<string, any>;

/** The variables that compose.yaml sets for each service. */
function compose(): Record<Service, string[]> {
  const { services } = parse(text('self-host/compose.yaml'), { merge: true }) as Document;
  const of = (name: string): string[] => Object.keys(services[name].environment);
  return {
    edge: of('edge'),
    relay: of('relay'),
    worker: of('worker-1'),
    gateway: of('gateway'),
    pooler: of('pooler'),
  };
}

/** The variables of the pods of each service. */
function kubernetes(): Record<Service, string[]> {
  const documents = readdirSync(KUBERNETES)
    .filter((name) => name.endsWith('.yaml') && name !== 'kustomization.yaml')
    .flatMap((name) => parseAllDocuments(readFileSync(join(KUBERNETES, name), 'utf8')))
    .map((document) => document.toJS() as Document);
  const named = (kind: string, name: string) =>
    documents.find((one) => one.kind === kind && one.metadata.name === name);
  const of = (service: string): string[] => {
    const pods = documents.flatMap(({ spec }) => (spec?.template ? [spec.template.spec as Document] : []));
    const containers = pods.flatMap(
      (pod) => [...pod.containers, ...(pod.initContainers ?? [])] as Document[],
    );
    const { envFrom = [], env = [] } = containers.find(({ name }) => name === service) ?? {};
    const referred = (envFrom as Document[]).flatMap(({ configMapRef, secretRef }) => [
      ...Object.keys(named('ConfigMap', configMapRef?.name)?.data ?? {}),
      ...Object.keys(named('Secret', secretRef?.name)?.stringData ?? {}),
    ]);
    return [...referred, ...(env as Document[]).map(({ name }) => name as string)];
  };
  return {
    edge: of('edge'),
    relay: of('relay'),
    worker: of('worker'),
    gateway: of('gateway'),
    pooler: of('pooler'),
  };
}

/**
 * The names that files of the cloud deployment assign: `NAME: value` in TypeScript, `NAME=value` in a script.
 */
const assigned = (...files: string[]): string[] =>
  files.flatMap((file) =>
    Array.from(text(file).matchAll(/\b([A-Z][A-Z0-9_]+)(?:=|:\s)/g), ([, name = '']) => name),
  );

/** The variables that SST sets for each service, from the files that describe it. */
const cloud = (): Record<Service, string[]> => ({
  edge: assigned('cloud/edge.ts', 'local/edge/deployed.ts'),
  relay: assigned('cloud/relay.ts', 'cloud/service.ts'),
  gateway: assigned('cloud/gateway.ts', 'cloud/service.ts'),
  worker: assigned('cloud/gpu.ts', 'cloud/gpu-host/boot.sh'),
  // Hyperdrive.
  pooler: [],
});

const DEPLOYMENTS = { Compose: compose(), Kubernetes: kubernetes(), SST: cloud() };

/** The deployments that set a variable of a service, separated by commas. */
export const deploymentsOf = (service: Service, name: string): string =>
  Object.entries(DEPLOYMENTS)
    .filter(([, services]) => services[service].includes(name))
    .map(([deployment]) => deployment)
    .join(', ');

/** A variable that compose.yaml itself reads. */
export type ComposeVariable = { name: string; required: boolean; usual: string };

/** The variables of `.env` for compose.yaml, in the order in which they appear. */
export function composeVariables(): ComposeVariable[] {
  const found = new Map<string, ComposeVariable>();
  for (const [, name = '', form, usual = ''] of text('self-host/compose.yaml').matchAll(
    /(?<!\$)\$\{([A-Z0-9_]+)(:[-?])([^}]*)\}/g,
  )) {
    found.set(name, { name, required: form === ':?', usual });
  }
  return [...found.values()];
}
