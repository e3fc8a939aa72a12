import { keys } from '@warmwind/shared/engine/keys';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestEdge, type TestEdge } from '../../infra/local/edge/testing.ts';
import { startTestRelay, type TestRelay } from '../testing/relay.ts';

type Content = Record<string, { schema: object; example?: unknown }>;
type Answer = { description: string; headers?: Record<string, { $ref?: string }>; content?: Content };
type Operation = {
  operationId: string;
  summary: string;
  security?: object[];
  parameters?: { name: string; in: string; schema: object }[];
  requestBody?: { content: Content };
  responses: Record<string, Answer>;
};
type Document = {
  paths: Record<string, Record<string, Operation>>;
  components: { headers: object; schemas: Record<string, Schema> };
};

let edge: TestEdge;
let relay: TestRelay;
let paths: Document['paths'];
let schemas: Record<string, Schema>;
let ajv: Ajv2020;
let operations: [name: string, path: string, operation: Operation][];

beforeAll(async () => {
  relay = await startTestRelay();
  edge = await startTestEdge({
    RATE_LIMITS: '{"user": ["1000/s"], "containers.start": []}',
    RELAY_URL: relay.url,
  });
  const document = (await edge.call(undefined, 'GET', '/openapi.json')).body as Document;
  ({ paths } = document);
  ({ schemas } = document.components);
  ajv = new Ajv2020({ strict: false, validateFormats: false });
  ajv.addSchema(document, 'document');
  operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]): (typeof operations)[number] => [
      `${method} ${path}`,
      path,
      operation,
    ]),
  );
});
afterAll(async () => {
  await edge?.stop();
  await relay?.stop();
});

/** The schema at a place of the document. */
function schemaAt(...place: string[]): ValidateFunction {
  const pointer = place.map((part) => encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1')));
  const schema = ajv.getSchema(`document#/${pointer.join('/')}`);
  if (!schema) throw new Error(`no schema at ${place.join(' ')}`);
  return schema;
}

type Schema = {
  $ref?: string;
  allOf?: Schema[];
  properties?: Record<string, Schema>;
  items?: Schema;
  description?: string;
};

/** The fields without a description below a schema; a reference to a named schema counts as one. */
function undescribed(at: string, seen: Set<string>, schema: Schema = schemas[nameOf(at)] ?? {}): string[] {
  if (seen.has(at)) return [];
  seen.add(at);
  const { properties = {}, items, allOf = [] } = schema;
  const below = Object.entries(properties).flatMap(([name, field]) => [
    ...(field.description || field.$ref || field.allOf ? [] : [`${at}.${name}`]),
    ...undescribed(field.$ref ?? `${at}.${name}`, seen, field.$ref ? undefined : field),
  ]);
  const further = [...(items ? [items] : []), ...allOf].flatMap((part) =>
    undescribed(part.$ref ?? `${at}[]`, seen, part.$ref ? undefined : part),
  );
  return [...below, ...further];
}
const nameOf = (ref: string): string => ref.replace('#/components/schemas/', '');

const JSON_TYPE = 'application/json';
const wrong = (schema: ValidateFunction, value: unknown) => (schema(value) ? [] : schema.errors);

describe('in /openapi.json', () => {
  test('every JSON body is a schema of the components, whose fields are described', () => {
    const named = new Set<string>();
    for (const [name, , { requestBody, responses }] of operations) {
      for (const { content } of [requestBody ?? {}, ...Object.values(responses)]) {
        const schema = content?.[JSON_TYPE]?.schema;
        // The body of a command without input.
        if (!schema || JSON.stringify((schema as Schema).properties) === '{}') continue;
        expect([name, schema]).toEqual([
          name,
          { $ref: expect.stringMatching(/^#\/components\/schemas\/\w+$/) },
        ]);
        named.add((schema as { $ref: string }).$ref);
      }
    }
    expect(named.size).toBeGreaterThan(15);
    expect([...named].flatMap((ref) => undescribed(ref, new Set()))).toEqual([]);
  });

  test('every operation has a name of its own, its path parameters, and the failures it shares with others', () => {
    const ids = operations.map(([, , { operationId }]) => operationId);
    expect(new Set(ids).size).toBe(ids.length);
    for (const [name, path, { summary, security, parameters = [], responses }] of operations) {
      const named = parameters.flatMap(({ name: parameter, in: where }) =>
        where === 'path' ? [parameter] : [],
      );
      expect([name, named.toSorted()]).toEqual([
        name,
        [...path.matchAll(/\{(\w+)\}/g)].map(([, id]) => id).toSorted(),
      ]);
      expect([name, summary]).toEqual([name, expect.stringMatching(/\S/)]);
      const expected = security ? [...(path.startsWith('/v1/') ? [] : ['400']), '401', '429', '500'] : [];
      expect([name, Object.keys(responses)]).toEqual([name, expect.arrayContaining(expected)]);
    }
  });

  test('fields without an effect yet are described as such', () => {
    const start = JSON.stringify(schemas.StartContainer);
    expect(start).toContain('elsewhere more than 0 is answered 400.');
    expect(start).toContain('No snapshots can be taken yet: every name is answered 404.');
  });

  test('every answer is described with its headers', () => {
    for (const [name, , { security, responses }] of operations) {
      for (const [status, { headers = {} }] of Object.entries(responses)) {
        const limits =
          security && status !== '500' && name !== 'get /limits'
            ? ['X-RateLimit-Remaining', 'RateLimit', 'RateLimit-Policy']
            : [];
        const retry = security && (status === '429' || status === '503') ? ['Retry-After'] : [];
        const own = status === '401' ? ['WWW-Authenticate'] : [];
        const expected = ['X-Request-Id', ...limits, ...retry, ...own];
        expect([name, status, Object.keys(headers)]).toEqual([
          name,
          status,
          expect.arrayContaining(expected),
        ]);
      }
    }
  });

  test('every JSON body has an example that its schema accepts', () => {
    let examples = 0;
    const check = (content: Content | undefined, ...place: string[]) => {
      const body = content?.[JSON_TYPE];
      if (!body) return;
      expect([place, body.example]).toEqual([place, expect.anything()]);
      expect([place, wrong(schemaAt(...place, 'content', JSON_TYPE, 'schema'), body.example)]).toEqual([
        place,
        [],
      ]);
      examples += 1;
    };
    for (const [path, methods] of Object.entries(paths)) {
      for (const [method, { requestBody, responses }] of Object.entries(methods)) {
        check(requestBody?.content, 'paths', path, method, 'requestBody');
        for (const [status, { content }] of Object.entries(responses)) {
          check(content, 'paths', path, method, 'responses', status);
        }
      }
    }
    expect(examples).toBeGreaterThan(100);
  });
});

test('answers match the document: status, headers and body', async () => {
  const { containerId, jobId } = (await edge.call('ada', 'POST', '/containers/start')).body;
  await edge.gateway.redis.client.zadd(keys.models(), Date.now() + 60_000, 'h1 desk-tiny');
  const prompt = { model: 'desk-tiny', prompt: 'Hello' };
  const calls: [path: string, method: string, real: string, status: number, body?: object][] = [
    ['/health/live', 'get', '/health/live', 200],
    ['/health/ready', 'get', '/health/ready', 200],
    ['/containers', 'get', '/containers', 200],
    ['/containers', 'get', '/containers?limit=0', 400],
    ['/containers/{id}', 'get', `/containers/${containerId}`, 200],
    ['/containers/{id}', 'get', '/containers/none', 404],
    ['/containers/start', 'post', '/containers/start', 202, { width: 800 }],
    ['/containers/start', 'post', '/containers/start', 400, { width: 1 }],
    ['/containers/{id}/stop', 'post', `/containers/${containerId}/stop`, 202],
    ['/inference', 'post', '/inference', 202, prompt],
    ['/models', 'get', '/models', 200],
    ['/v1/models', 'get', '/v1/models', 200],
    ['/v1/models/{id}', 'get', '/v1/models/desk-tiny', 200],
    ['/v1/models/{id}', 'get', '/v1/models/none', 404],
    ['/v1/chat/completions', 'post', '/v1/chat/completions', 400, {}],
    ['/jobs', 'get', '/jobs', 200],
    ['/jobs/{id}', 'get', `/jobs/${jobId}`, 200],
    ['/jobs/{id}/retry', 'post', `/jobs/${jobId}/retry`, 409],
    ['/jobs/{id}', 'delete', `/jobs/${jobId}`, 202],
    ['/realtime/token', 'post', '/realtime/token', 200, { mode: 'control' }],
    ['/realtime/token', 'post', '/realtime/token', 200, { containerId }],
    ['/realtime/tokens', 'get', '/realtime/tokens', 200],
    ['/realtime/tokens', 'get', '/realtime/tokens?x=1', 400],
    ['/limits', 'get', '/limits', 200],
    ['/usage', 'get', '/usage', 200],
    ['/webhooks/secret', 'get', '/webhooks/secret', 200],
  ];
  for (const [path, method, real, status, body] of calls) {
    const answer = await edge.call('ada', method.toUpperCase(), real, { body });
    expect([real, answer.status]).toEqual([real, status]);
    const place = ['paths', path, method, 'responses', `${status}`];
    const schema = schemaAt(...place, 'content', JSON_TYPE, 'schema');
    expect([real, wrong(schema, answer.body)]).toEqual([real, []]);
    const documented = Object.keys(paths[path]?.[method]?.responses[status]?.headers ?? {});
    for (const name of documented.filter((header) => /^(X-|RateLimit)/.test(header))) {
      expect([real, name, answer.headers.get(name)]).toEqual([real, name, expect.any(String)]);
    }
  }
});
