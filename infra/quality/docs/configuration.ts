import { NodeSettings } from '@warmwind/shared/engine/node/settings';
import type { z } from 'zod';
import { Variables as Edge } from '../../../edge/config.ts';
import { Config as Relay } from '../../../relay/config.ts';
import { Config as Worker } from '../../../workers/config.ts';
import type { Service } from '../../images/build.ts';
import { PoolerAddress } from '../../local/edge/hyperdrive.ts';
import { Config as Gateway } from '../../local/gateway/config.ts';
import { Environment as ModelServer } from '../../local/model-server/config.ts';
import { Config as Pooler } from '../../local/pooler/settings.ts';
import { Environment as Stack } from '../../local/stack/settings.ts';
import { composeVariables, deploymentsOf } from './deployments.ts';
import { code, page, table } from './markdown.ts';
import { bounds, jsonSchema, metadata } from './schema.ts';

type Shape = Record<string, z.core.$ZodType>;

/** Prints tiers in their written form. */
const tierNames = (_key: string, value: unknown): unknown =>
  typeof value === 'object' && value !== null && 'windowMs' in value && 'name' in value ? value.name : value;

/** @returns the default of a setting in the form of its variable; empty for none */
function usual(schema: z.core.$ZodType): string {
  const described = metadata(schema, 'usual');
  if (described !== undefined) return `${described}`;
  const result = schema['~standard'].validate(undefined);
  if (!('value' in result) || result.value === undefined) return '';
  const { default: given } = jsonSchema(schema) as { default?: unknown };
  if (given === '') return 'empty';
  // Fields that the JSON omits have defaults of their own.
  const text = given === undefined || given === '{}' ? JSON.stringify(result.value, tierNames) : `${given}`;
  return code(text.replace(/^"(.*)"$/, '$1'));
}

const isRequired = (schema: z.core.$ZodType): boolean => {
  const result = schema['~standard'].validate(undefined);
  return !('value' in result);
};

function row(name: string, schema: z.core.$ZodType, service?: Service): string[] {
  const notes = [bounds(jsonSchema(schema)), metadata(schema, 'secret') ? 'secret' : ''];
  return [
    code(name),
    usual(schema) || (isRequired(schema) ? 'required' : ''),
    notes.filter(Boolean).join(', '),
    `${metadata(schema, 'description') ?? ''}`,
    ...(service ? [deploymentsOf(service, name)] : []),
  ];
}

const COLUMNS = ['variable', 'default', 'values', 'what it sets'];

function section(title: string, intro: string, shape: Shape, service?: Service): string {
  const rows = Object.entries(shape).map(([name, schema]) => row(name, schema, service));
  return [`## ${title}`, intro, table(service ? [...COLUMNS, 'set by'] : COLUMNS, rows)].join('\n\n');
}

/** Without Cloudflare the edge takes URLs and makes bindings from them. */
const LEDGER_URL = Edge.shape.LEDGER_DB.describe('URL of the ledger, without Hyperdrive: postgres://…');
const LEDGER_READ_URL = Edge.shape.LEDGER_READ_DB.describe(
  'URL of a ledger replica for lists and usage, without Hyperdrive.',
);

/** The variables of compose.yaml that are not settings of a service. */
const COMPOSE_ONLY: Record<string, string> = {
  REGISTRY: 'Registry and name space of the images.',
  TAG: 'Tag of the images.',
  REDIS_IMAGE: 'Image of both Redis servers.',
  NGINX_IMAGE: 'Image of nginx.',
  POSTGRES_IMAGE: 'Image of PostgreSQL.',
  REDIS_PASSWORD: 'Password of both Redis servers.',
  LEDGER_PASSWORD: 'Password of the ledger.',
  DOCKER_GID: 'Group of the engine’s socket: `stat -c %g /var/run/docker.sock`.',
  NGINX_CONF: 'Configuration of nginx: `nginx.tls.conf` for TLS.',
  TLS_DIR: 'Folder of `tls.crt` and `tls.key`, readable by user 101.',
  BIND: 'Address on which nginx is published.',
  EDGE_PORT: 'Published port of the edge.',
  RELAY_PORT: 'Published port of the relay.',
  TLS_PORT: 'Published port of both, by name, with TLS.',
  RELAY_METRICS_PORTS: 'Published ports of the relays’ metrics, one for each relay.',
  GATEWAY_METRICS_PORT: 'Published port of the gateway’s metrics.',
  BOARD_PORT: 'Published port of Bull Board.',
  WORKER_1_METRICS_PORT: 'Published port of the first worker’s metrics.',
  WORKER_2_METRICS_PORT: 'Published port of the second worker’s metrics.',
};

function composeSection(): string {
  const services: Shape = {
    ...Pooler.shape,
    ...Gateway.shape,
    ...Worker.shape,
    ...Relay.shape,
    ...Edge.shape,
    LEDGER_READ_URL,
  };
  const rows = composeVariables().map(({ name, required, usual }) => {
    const described = COMPOSE_ONLY[name] ?? (services[name] && metadata(services[name], 'description'));
    if (!described)
      throw new Error(`compose.yaml reads ${name}: describe it in infra/quality/docs/configuration.ts`);
    return [code(name), required ? 'required' : code(usual) || 'empty', `${described}`];
  });
  const intro = 'Variables of `infra/self-host/.env`; `infra/self-host/env.example` is a template.';
  return ['## Compose', intro, table(['variable', 'default', 'what it sets'], rows)].join('\n\n');
}

/** `docs/reference/configuration.md`: every setting of every service, from the schemas that check them. */
export const configuration = (): string =>
  page(
    'Configuration',
    [
      'edge/config.ts',
      'relay/config.ts',
      'workers/config.ts',
      'infra/local/gateway/config.ts',
      'infra/local/pooler/settings.ts',
      'infra/local/stack/settings.ts',
    ],
    [
      'Settings are environment variables (bindings, for the edge on Cloudflare). Each service checks all of its settings before it starts, and exits with a line for each that is missing or invalid. An empty variable counts as absent. A name that ends in `_MS` is in milliseconds, in `_MB` in megabytes. A value of an example file, such as `replace-me`, is refused as a secret.',
      '`npm start` passes its own environment to every service, so that each setting can be set there; it sets addresses and secrets automatically. The last column names the other deployments that set a variable.',
      section(
        'Edge',
        'A Cloudflare Worker, or workerd. `LEDGER_DB` and `LEDGER_READ_DB` are Hyperdrive bindings; in workerd, `LEDGER_URL` and `LEDGER_READ_URL` replace them, through `LEDGER_POOLER`.',
        { ...Edge.shape, LEDGER_URL, LEDGER_READ_URL, LEDGER_POOLER: PoolerAddress },
        'edge',
      ),
      section('Relay', 'A Node process.', Relay.shape, 'relay'),
      section('Worker', 'A Node process next to a Docker Engine.', Worker.shape, 'worker'),
      section(
        'Gateway',
        'Upstash’s REST protocol in front of a queue Redis other than Upstash.',
        Gateway.shape,
        'gateway',
      ),
      section(
        'Pooler',
        'PgBouncer between the edge and the ledger, where there is no Hyperdrive.',
        Pooler.shape,
        'pooler',
      ),
      section(
        'Every Node service',
        'Relay, worker, gateway and model server read these too.',
        NodeSettings.shape,
      ),
      section(
        'Model server',
        'The embedded demonstration model server (`infra/local/model-server`).',
        ModelServer.shape,
      ),
      section(
        'npm start',
        'The settings of the local stack itself. Its services read their own.',
        Stack.shape,
      ),
      composeSection(),
    ],
  );
