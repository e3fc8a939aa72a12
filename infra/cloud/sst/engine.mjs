// Replaces Pulumi's engine under the real `sst diff`. It runs the program that the CLI has built, in which
// SST's own components expand our modules, and records every resource instead of comparing it with a cloud.
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';

// Of the commands that the CLI gives, one runs the program.
if (process.argv[2] !== 'preview') process.exit(0);

const { RECORD = '', ROOT = '' } = process.env;
const pulumi = createRequire(join(ROOT, '.sst/platform/package.json'))('@pulumi/pulumi');
const main = /main: *"?([^"\n]+)/.exec(readFileSync('Pulumi.yaml', 'utf8'))?.[1] ?? '';

const resources = [];

/** A value without Pulumi's mark of a secret. */
const SECRET_MARK = '4dabf18193072939515e22adb298388d';
const plain = (value) => {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  if (SECRET_MARK in value) return plain(value.value);
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
};

/** The outputs of a provider that our modules and SST's read. */
const outputs = (name, type) => ({
  arn: `arn:aws:test:us-east-1:123456789012:${type.split(':').at(-1)}/${name}`,
  arnSuffix: `app/${name}/1`,
  address: `${name}.ledger.test`,
  cidrBlock: '10.0.0.0/16',
  clusterEnabled: false,
  clientId: `${name}-client`,
  clientSecret: `${name}-client-SECRET`,
  digest: 'sha256:00',
  dnsName: `${name}.balancer.test`,
  domainValidationOptions: [
    { resourceRecordName: 'a', resourceRecordType: 'CNAME', resourceRecordValue: 'b' },
  ],
  endpoint: type.includes('rds') ? `${name}.ledger.test:5432` : `${name}.redis.test`,
  fqdn: `${name}.test`,
  identifier: name,
  latestVersion: 1,
  password: `${name}-SECRET`,
  port: type.includes('rds') ? 5432 : 6379,
  primaryEndpointAddress: `${name}.redis.test`,
  ref: `${name}-ref`,
  repositoryUrl: '123456789012.dkr.ecr.us-east-1.amazonaws.com/warmwind',
  restToken: `${name}-rest-SECRET`,
  result: `${name}-SECRET`,
  b64Std: 'cmFuZG9t',
  hex: 'ab',
  username: 'postgres',
  zoneId: 'zone',
});

const ANSWERS = {
  getAvailabilityZones: { names: ['us-east-1a', 'us-east-1b', 'us-east-1c'], zoneIds: ['a', 'b', 'c'] },
  getParameter: { value: 'ami-1' },
  getCallerIdentity: { accountId: '123456789012' },
  getRegion: { name: 'us-east-1', region: 'us-east-1', id: 'us-east-1' },
  getPartition: { partition: 'aws' },
  getAuthorizationToken: {
    userName: 'AWS',
    password: 'registry-SECRET',
    proxyEndpoint: 'https://registry.test',
  },
  getZeroTrustTunnelCloudflaredToken: { token: 'tunnel-SECRET' },
};

/** The inputs that each resource's options ignore; mocks do not receive options. */
const ignored = new Map();

await pulumi.runtime.setMocks(
  {
    newResource({ type, name, inputs }) {
      resources.push({ type, name, inputs: plain(inputs), ignored: ignored.get(`${type} ${name}`) ?? [] });
      const given = outputs(inputs.name ?? name, type);
      return { id: `${name}-id`, state: { ...given, ...inputs } };
    },
    call({ token, inputs }) {
      if (token.endsWith('getPolicyDocument'))
        return { json: JSON.stringify(inputs), statements: inputs.statements };
      return ANSWERS[token.split('/').at(-1)?.split(':').at(-1)] ?? inputs;
    },
  },
  'warmwind',
  process.env.SST_STAGE ?? 'test',
  false,
);
const monitor = pulumi.runtime.getMonitor();
const register = monitor.registerResource.bind(monitor);
monitor.registerResource = (request, ...rest) => {
  ignored.set(`${request.getType()} ${request.getName()}`, request.getIgnorechangesList());
  return register(request, ...rest);
};

let failure;
process.on('unhandledRejection', (error) => {
  failure ??= error;
});
const finish = () =>
  writeFileSync(RECORD, JSON.stringify({ resources, failure: failure && String(failure.stack ?? failure) }));
try {
  const program = async () => (await import(pathToFileURL(resolve(main)).href)).default;
  await pulumi.runtime.runInPulumiStack(program);
  await pulumi.runtime.disconnect?.();
  // Components continue to make resources in promises of their own: the run ends when none has come for a
  // while.
  for (let seen = -1; seen !== resources.length; await sleep(500)) seen = resources.length;
} catch (error) {
  failure ??= error;
}
finish();
process.exit(failure ? 1 : 0);
