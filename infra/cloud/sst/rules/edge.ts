import { bindings, textOf } from './environments.ts';
import { failing, type Rule } from './rule.ts';

/** The links that infra/local/edge/deployed.ts reads. */
const LINKS = ['AuthSecret', 'AuthSecretPrevious', 'WebhookSecret', 'QueueToken'];
const DATABASES = ['LedgerDb', 'LedgerReadDb'];

export const edgeRules: Rule[] = [
  {
    guarantee: 'every link that the Worker reads is there, and resolved',
    violations: (deployed) => [
      ...LINKS.filter((name) => !JSON.parse(textOf(deployed, `SST_RESOURCE_${name}`) || '{}').value).map(
        (name) => `${name} is not linked`,
      ),
      ...DATABASES.filter(
        (name) =>
          !bindings(deployed).some((found) => found.name === name && found.type === 'hyperdrive' && found.id),
      ).map((name) => `${name} is not bound`),
      ...bindings(deployed)
        .filter((binding) => /undefined|\[object|Output<|Calling \[toString\]/.test(JSON.stringify(binding)))
        .map(({ name }) => `${name} did not resolve`),
    ],
  },
  {
    guarantee: 'no log of the platform holds the address of a request: its query may hold a secret',
    violations: (deployed) =>
      deployed
        .all('cloudflare:index/workersScript:WorkersScript')
        .filter(
          ({ inputs }) =>
            inputs.observability?.enabled && inputs.observability.logs?.invocationLogs !== false,
        )
        .map(({ name }) => `${name} logs its invocations`),
  },
  {
    guarantee: 'a stage answers under its own name, which the relay accepts as an origin',
    violations: (deployed) => {
      const { hostname } = deployed.one(':WorkersCustomDomain', 'EdgeDomain');
      const suffix = deployed.stage === 'production' ? '' : `-${deployed.stage}`;
      const certificate = deployed.one('acm/certificate:Certificate', 'RelayBalancerSslCertificate');
      return failing({
        [`the edge is ${hostname}`]: hostname === `api${suffix}.warmwind.test`,
        'the relay is elsewhere':
          textOf(deployed, 'RELAY_URL') === `https://relay${suffix}.warmwind.test` &&
          certificate.domainName === `relay${suffix}.warmwind.test`,
      });
    },
  },
];
