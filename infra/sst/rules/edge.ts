import { readConfig } from '../../../edge/config.ts';
import type { Inputs, Recorded } from '../record.ts';
import { failing, type Rule } from './rule.ts';

/** What infra/edge/deployed.ts reads. */
const LINKS = ['AuthSecret', 'AuthSecretPrevious', 'WebhookSecret', 'QueueToken'];
const DATABASES = ['LedgerDb', 'LedgerReadDb'];

const bindings = (deployed: Recorded): Inputs[] => deployed.one(':WorkersScript', 'EdgeScript').bindings;

const textOf = (deployed: Recorded, name: string): string =>
  bindings(deployed).find((binding) => binding.name === name)?.text ?? '';

export const edgeRules: Rule[] = [
  {
    guarantee: 'every link that the Worker reads is there, and resolved',
    broken: (deployed) => [
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
    guarantee: 'the edge accepts what it is given',
    broken: (deployed) => {
      const plain = bindings(deployed).filter(({ type }) => type === 'plain_text');
      const value = (name: string) => JSON.parse(textOf(deployed, `SST_RESOURCE_${name}`) || '{}').value;
      try {
        readConfig({
          ...Object.fromEntries(plain.map(({ name, text }) => [name, text])),
          AUTH_SECRET: value('AuthSecret'),
          AUTH_SECRET_PREVIOUS: value('AuthSecretPrevious'),
          WEBHOOK_SECRET: value('WebhookSecret'),
          UPSTASH_REDIS_REST_TOKEN: value('QueueToken'),
          LEDGER_DB: 'postgres://hyperdrive',
        });
        return [];
      } catch (error) {
        return [error instanceof Error ? error.message : String(error)];
      }
    },
  },
  {
    guarantee: 'a stage answers under its own name, which the relay lets in',
    broken: (deployed) => {
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
