import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isPlaceholder, PLACEHOLDER_REMEDY } from '@warmwind/shared/runtime/secrets';
import { describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { readConfig as readEdgeConfig } from '../../edge/config.ts';
import { readConfig as readRelayConfig } from '../../relay/config.ts';
import { readConfig as readWorkerConfig } from '../../workers/config.ts';
import { parseHyperdrive } from '../local/edge/hyperdrive.ts';
import { Config as GatewayConfig } from '../local/gateway/config.ts';
import { poolerUpstreams } from '../local/pooler/urls.ts';
import { readSettings } from '../local/stack/settings.ts';

const ROOT = join(import.meta.dirname, '../..');
/** Files for operators, without the code and the tests of the project. */
const shipped = execFileSync('git', ['ls-files', '-z'], { cwd: ROOT, encoding: 'utf8' })
  .split('\0')
  .filter((path) => /\.(md|ya?ml|example|sh|conf|toml|jsonc?)$|Dockerfile$/.test(path))
  .filter((path) => !/package(-lock)?\.json$|\/dist\//.test(path));

type Found = { path: string; name: string; value: string };
const found: Found[] = shipped.flatMap((path) => {
  const text = readFileSync(join(ROOT, path), 'utf8');
  const assigned =
    /(?<!\$\{)\b([A-Z][A-Z0-9_]*(?:SECRET|PASSWORD|TOKEN|KEY|AUTH)(?:_PREVIOUS)?)[ \t]*[:=][ \t]*["']?([^\s"'`,}]+)/g;
  const inUrls = /\b([A-Z][A-Z0-9_]*URL)[ \t]*[:=][ \t]*["']?[a-z+]+:\/\/[^:/@\s]*:([^@/\s]+)@/g;
  return [...text.matchAll(assigned), ...text.matchAll(inUrls)].map(([, name = '', value = '']) => ({
    path,
    name,
    value,
  }));
});
/** A reference to where a secret is kept, or an ellipsis: no value that could be used as it stands. */
const isReference = (value: string): boolean => /^[$<{(%#]|^…|^\.\.\.|^secretKeyRef|^\\$/.test(value);
const literals = found.filter(({ value }) => !isReference(value));
const secretsYaml = parseAllDocuments(
  readFileSync(join(import.meta.dirname, 'kubernetes/secrets.yaml'), 'utf8'),
).flatMap((document) =>
  Object.values((document.toJS() as { stringData: Record<string, string> }).stringData),
);

const GOOD = 'b7c1d0a94be24f7f8d3e5a6c91f02d84';
const redis = (password: string) => `redis://:${password}@127.0.0.1:6379`;
const postgres = (password: string) => `postgres://warmwind:${password}@127.0.0.1:5432/warmwind`;
const STORES = { REDIS_QUEUE_URL: redis(GOOD), REDIS_REALTIME_URL: redis(GOOD), LEDGER_URL: postgres(GOOD) };
const services: {
  name: string;
  good: Record<string, string>;
  read: (env: Record<string, string>) => unknown;
}[] = [
  {
    name: 'edge',
    good: {
      UPSTASH_REDIS_REST_URL: 'http://127.0.0.1:1',
      UPSTASH_REDIS_REST_TOKEN: GOOD,
      AUTH_SECRET: GOOD,
      AUTH_SECRET_PREVIOUS: GOOD,
      WEBHOOK_SECRET: GOOD,
      RELAY_URL: 'http://127.0.0.1:2',
      LEDGER: 'off',
    },
    read: readEdgeConfig,
  },
  {
    name: 'edge in workerd',
    good: { LEDGER_URL: postgres(GOOD), LEDGER_READ_URL: postgres(GOOD) },
    read: (env) => Object.entries(env).map(([name, url]) => parseHyperdrive(name, url)),
  },
  {
    name: 'relay',
    good: { ...STORES, AUTH_SECRET: GOOD, AUTH_SECRET_PREVIOUS: GOOD },
    read: readRelayConfig,
  },
  {
    name: 'worker',
    good: {
      ...STORES,
      WORKER_HOST: 'h',
      FLEET: 'f',
      WEBHOOK_SECRET: GOOD,
      ADMIN_PASSWORD: GOOD,
      MODEL_SERVER_KEY: GOOD,
    },
    read: readWorkerConfig,
  },
  {
    name: 'gateway',
    good: { REDIS_URL: redis(GOOD), GATEWAY_TOKEN: GOOD },
    read: (env) => GatewayConfig.parse(env),
  },
  {
    name: 'pooler',
    good: { LEDGER_URL: postgres(GOOD), LEDGER_READ_URL: postgres(GOOD) },
    read: ({ LEDGER_URL = '', LEDGER_READ_URL }) => poolerUpstreams({ LEDGER_URL, LEDGER_READ_URL }),
  },
  {
    name: 'stack',
    good: {
      AUTH_SECRET: GOOD,
      AUTH_SECRET_PREVIOUS: GOOD,
      GATEWAY_TOKEN: GOOD,
      WEBHOOK_SECRET: GOOD,
      ADMIN_PASSWORD: GOOD,
      LEDGER_URL: postgres(GOOD),
      LEDGER_READ_URL: postgres(GOOD),
    },
    read: (env) => readSettings(env, ROOT),
  },
];

test('every secret in a shipped file is a placeholder that is refused by name', () => {
  expect(literals.map(({ path }) => path)).toContain('infra/self-host/kubernetes/secrets.yaml');
  expect(literals.filter(({ value }) => !isPlaceholder(value))).toEqual([]);
  const values = secretsYaml.filter((value) => value !== '');
  expect(values.filter((value) => !isPlaceholder(/:([^:@/]+)@/.exec(value)?.[1] ?? value))).toEqual([]);
});

test('a secret that only looks like words is no placeholder', () => {
  for (const value of [GOOD, 'correct horse battery staple', 'replacement-7f3b', 'changes']) {
    expect(isPlaceholder(value)).toBe(false);
  }
});

const placeholders = [
  ...new Set([...literals.map(({ value }) => value), 'Change-Me-with-32-or-more-characters']),
];
const cases = services.flatMap(({ name, good, read }) =>
  Object.entries(good)
    .filter(([, value]) => value.includes(GOOD))
    .map(([variable, value]) => ({ name, variable, value, good, read })),
);
describe.each(cases)('$name refuses a placeholder as $variable', ({ variable, value, good, read }) => {
  test('a secret of its own is accepted', () => {
    expect(() => read(good)).not.toThrow();
  });
  test.each(placeholders)('%s', (placeholder) => {
    let message = '';
    try {
      read({ ...good, [variable]: value.replace(GOOD, placeholder) });
    } catch (error) {
      message = String(error);
    }
    expect(message).toContain(variable);
    expect(message).toContain(PLACEHOLDER_REMEDY);
    expect(message).not.toContain(placeholder);
  });
});
