import { newId } from '@warmwind/shared/contract/ids';
import { keys } from '@warmwind/shared/engine/keys';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestEdge, type TestEdge } from '../infra/local/edge/testing.ts';
import { waitFor } from '../infra/quality/testing/wait.ts';
import { asAdmin } from './testing/admin.ts';
import { startTestRelay, type TestRelay } from './testing/relay.ts';
import { waiting } from './testing/stores.ts';

/** The parts of a request. */
type Attack = {
  method: string;
  path: string;
  query: string;
  headers: Record<string, string>;
  body: string | Uint8Array<ArrayBuffer> | undefined;
};
type Parameter = { name: string; in: 'path' | 'query' | 'header'; schema: object };
type Operation = {
  parameters?: Parameter[];
  requestBody?: {
    content: {
      'application/json'?: {
        schema: { properties?: object; $ref?: string };
        example?: Record<string, unknown>;
      };
    };
  };
  security?: object[];
};

let edge: TestEdge;
let relay: TestRelay;
/** An existing job and desktop. */
let known: { jobId: string; containerId: string };
/** The fields of a body, by its schema in the document. */
let fieldsOf: (schema: { properties?: object; $ref?: string }) => string[];
let operations: { method: string; path: string; operation: Operation }[];

beforeAll(async () => {
  relay = await startTestRelay();
  edge = await startTestEdge({
    RATE_LIMITS: '{"user": [], "containers.start": [], "webhooks": [], "admin": [], "ip": []}',
    RELAY_URL: relay.url,
  });
  known = (await edge.call('ada', 'POST', '/containers/start')).body as typeof known;
  await edge.gateway.redis.client.hset(keys.container('ada', known.containerId), {
    state: 'running',
    host: 'a',
  });
  const { paths, components } = (await edge.call(undefined, 'GET', '/openapi.json')).body as {
    paths: Record<string, Record<string, Operation>>;
    components: { schemas: Record<string, { properties?: object }> };
  };
  fieldsOf = ({ $ref, properties }) =>
    Object.keys(($ref ? components.schemas[$ref.split('/').at(-1) ?? '']?.properties : properties) ?? {});
  operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      method: method.toUpperCase(),
      // A name within a container, such as that of a process, is known to its host alone.
      path: path.replace(/\{(?!id\})\w+\}/g, 'unknown'),
      operation,
    })),
  );
});
afterAll(async () => {
  await edge?.stop();
  await relay?.stop();
});

/** All traces of a submission, except those of rate limits. */
async function traces(): Promise<unknown> {
  const { client } = edge.gateway.redis;
  const names = (await client.keys('*')).filter((name) =>
    /^ww:\{(ada|bob|containers|ai-inference)/.test(name),
  );
  const rows = await edge.postgres.sql`select
    (select count(*) from jobs) jobs, (select count(*) from job_changes) changes, (select count(*) from job_inputs) inputs,
    (select count(*) from containers) containers, (select count(*) from idempotency_keys) keys`;
  return {
    names: names.filter((name) => !name.includes(':limit:')).toSorted(),
    job: await client.hgetall(keys.job('ada', known.jobId)),
    desktop: await client.hgetall(keys.container('ada', known.containerId)),
    queues: [await waiting(edge), await waiting(edge, 'ai-inference')],
    rows: [...rows],
  };
}

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 100 }),
  fc.string({ unit: fc.constantFrom(...'{}[]:"\'\\%/\0\n*$<>;-. \u202e\ufeff'), maxLength: 40 }),
  fc.constantFrom(
    '__proto__',
    'constructor',
    'a'.repeat(300),
    '-1',
    'null',
    '../../etc/passwd',
    "' or 1=1 --",
  ),
);
/** The characters that a header may have on the wire. */
const headerText = fc.string({
  unit: fc
    .integer({ min: 0x21, max: 0xff })
    .filter((code) => code !== 0x7f)
    .map((code) => String.fromCharCode(code)),
  maxLength: 300,
});
const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);

/** An id of nothing that the caller owns; it may be well-formed. Dots alone would name another path. */
const hostileId = fc.oneof(
  text.filter((id) => !/^\.*$/.test(id) && !/^[A-Za-z0-9]/.test(id)).map(encodeURIComponent),
  fc.constantFrom(
    '%',
    '%zz',
    '%ff',
    '%00',
    '%2F',
    '%7Bada%7D',
    'x'.repeat(65),
    'x'.repeat(3000),
    'unknown',
    '0',
  ),
);
const hostileQuery: Record<string, fc.Arbitrary<string>> = {
  limit: fc.oneof(
    fc.constantFrom('0', '1001', '-1', '1e9', 'NaN', '1.5', '0x', ' '),
    text.filter((t) => !(Number(t) >= 1 && Number(t) <= 1000)),
  ),
  cursor: fc.oneof(
    fc.constantFrom('', 'YWJj', '='.repeat(10), 'x'.repeat(201)),
    text.map((t) => `!${t}`),
  ),
  since: text.map((t) => `x${t}`),
  until: fc.constantFrom('', 'tomorrow', '2026-13-01T00:00:00Z', '-1', '99999-01-01'),
  state: text.map((t) => `x${t}`),
  kind: text.map((t) => `x${t}`),
  format: text.map((t) => `x${t}`),
  archive: text.map((t) => `x${t}`),
  after: fc.constant('x'.repeat(256)),
};
const hostileHeader: Record<string, fc.Arbitrary<string>> = {
  'idempotency-key': fc.oneof(
    headerText.map((t) => `${t} \u00e4`),
    fc.constant('k'.repeat(256)),
  ),
  'last-event-id': headerText.map((t) => `x${t}`),
};

/**
 * A body that its route can't accept: not JSON, not an object, an unknown field, a field of another type, far
 * too large.
 */
const hostileBody = (fields: string[]): fc.Arbitrary<string> => {
  const isWrong = (body: string) => {
    try {
      const value: unknown = JSON.parse(body);
      return typeof value !== 'object' || value === null || Array.isArray(value);
    } catch {
      return body.trim() !== '';
    }
  };
  const wrongValue = fc.constantFrom<unknown>(null, [null], { a: [null] }, { __proto__: null, x: {} });
  return fc.oneof(
    text.filter(isWrong),
    fc.json().filter(isWrong),
    fc.constantFrom(
      '{"a":',
      '{"a":1}}',
      nested(50_000),
      `{"x":${nested(5000)}}`,
      `"${'x'.repeat(1.6 * 2 ** 20)}"`,
    ),
    fc
      .tuple(
        text.filter((name) => !fields.includes(name)),
        fc.jsonValue(),
      )
      .map(([name, value]) => `{${JSON.stringify(name)}:${JSON.stringify(value)}}`),
    ...(fields.length > 0
      ? [
          fc
            .tuple(fc.constantFrom(...fields), wrongValue)
            .map(([name, value]) => JSON.stringify({ [name]: value })),
        ]
      : []),
  );
};

/** Bytes that are not UTF-8, and text with half of a surrogate pair, within JSON. */
const malformedText: fc.Arbitrary<string | Uint8Array<ArrayBuffer>> = fc.oneof(
  fc
    .constantFrom(
      [0xff],
      [0xc3],
      [0xed, 0xa0, 0x80],
      [0xc0, 0xaf],
      [0xf8, 0x88, 0x80, 0x80, 0x80],
      [0xe2, 0x82],
    )
    .map((bytes) => Uint8Array.from([...Buffer.from('{"x":"'), ...bytes, ...Buffer.from('"}')])),
  fc
    .integer({ min: 0xd800, max: 0xdfff })
    .chain((unit) => fc.constantFrom(`"\\u${unit.toString(16)}"`, `["x\\u${unit.toString(16)}y"]`))
    .chain((value) => fc.constantFrom(`{"name":${value}}`, `{"env":{"A":${value}}}`, `{"model":${value}}`)),
);
/** A type that is not JSON as UTF-8, and any way to write the one that is. */
const space = fc.constantFrom('', ' ', '\t', '  ');
const otherType = fc.constantFrom(
  'application/json; charset=utf-16',
  'application/json;charset="latin1"',
  'application/json ;\tCHARSET = x',
  'text/json',
  'application/json5',
);
const jsonType = fc
  .tuple(
    fc.mixedCase(fc.constant('application/json')),
    fc.array(
      fc.tuple(
        space,
        space,
        fc.constantFrom('', 'charset=utf-8', 'Charset="UTF-8"', 'charset=""', 'a="b;c=\\""', 'a='),
      ),
      { maxLength: 3 },
    ),
  )
  .map(([type, parameters]) => type + parameters.map(([a, b, text]) => `${a};${b}${text}`).join(''));

/** Harmless additions to any request. */
const noise = fc.record(
  {
    Prefer: fc.oneof(
      headerText.map((t) => `=${t}`),
      fc.constantFrom('wait=-1', 'wait="', 'wait=1e9;;,', 'a="\\"', ', ,wait = "x'),
    ),
    'X-Request-Id': headerText,
    'X-Forwarded-For': headerText,
    Origin: headerText,
    Accept: headerText,
  },
  { requiredKeys: [] },
);

/** Requests with at least one fault each: where a route takes no input, the token. */
function attacks({ method, path, operation }: (typeof operations)[number]): fc.Arbitrary<Attack> {
  const { parameters = [], requestBody } = operation;
  const named = (where: Parameter['in']) => parameters.filter((p) => p.in === where).map((p) => p.name);
  const fields = fieldsOf(requestBody?.content['application/json']?.schema ?? {});
  const ownId = path.startsWith('/jobs') ? known.jobId : known.containerId;
  const valid = { method, path: path.replace('{id}', ownId), query: '', headers: {}, body: undefined };

  const wrong: fc.Arbitrary<Partial<Attack>>[] = [];
  if (named('path').length > 0) wrong.push(hostileId.map((id) => ({ path: path.replace('{id}', id) })));
  for (const name of named('query')) {
    const value = hostileQuery[name];
    if (value) wrong.push(value.map((text) => ({ query: `?${name}=${encodeURIComponent(text)}` })));
  }
  if (operation.security && !path.startsWith('/v1/')) {
    const unknown = text.filter((name) => name !== '' && !named('query').includes(name));
    wrong.push(unknown.map((name) => ({ query: `?${encodeURIComponent(name)}=1` })));
  }
  for (const name of named('header')) {
    const value = hostileHeader[name];
    if (value) wrong.push(value.map((text) => ({ headers: { [name]: text } })));
  }
  if (requestBody?.content['application/json']) {
    const json = { 'Content-Type': 'application/json' };
    wrong.push(hostileBody(fields).map((body) => ({ headers: json, body })));
    wrong.push(headerText.map((type) => ({ headers: { 'Content-Type': `x/${type}` }, body: '{}' })));
    wrong.push(otherType.map((type) => ({ headers: { 'Content-Type': type }, body: '{}' })));
    wrong.push(
      fc
        .constantFrom('gzip', 'x,br')
        .map((coding) => ({ headers: { ...json, 'Content-Encoding': coding }, body: '{}' })),
    );
    wrong.push(
      fc.tuple(malformedText, jsonType).map(([body, type]) => ({ headers: { 'Content-Type': type }, body })),
    );
  }
  if (operation.security) {
    wrong.push(headerText.map((token) => ({ headers: { Authorization: `Bearer ${token}` } })));
  }
  return fc.tuple(fc.oneof(...wrong), noise).map(([mistake, extra]) => ({
    ...valid,
    ...mistake,
    headers: { ...extra, ...mistake.headers },
  }));
}

async function send({ method, path, query, headers, body }: Attack): Promise<Response> {
  const user = headers.Authorization === undefined ? 'ada' : undefined;
  return edge.raw(user, path + query, { method, headers, ...(body === undefined ? {} : { body }) });
}

test('every malformed request is answered with a 4xx and leaves no trace', async () => {
  const before = await traces();
  const attacked = operations.filter(({ operation }) => operation.security);
  expect(attacked.length).toBeGreaterThanOrEqual(14);
  for (const target of attacked) {
    await fc.assert(
      fc.asyncProperty(attacks(target), async (attack) => {
        const answer = await send(attack);
        const text = await answer.text();
        if (answer.status < 400 || answer.status > 499)
          throw new Error(`${answer.status} ${text.slice(0, 300)}`);
        const code = expect.any(String);
        const form = attack.path.startsWith('/v1/')
          ? { error: { code } }
          : { statusCode: answer.status, code };
        expect(JSON.parse(text)).toMatchObject(form);
      }),
      { numRuns: 40 },
    );
  }
  expect(await traces()).toEqual(before);
  expect(relay.asked).toEqual([]);
  const { client } = edge.gateway.redis;
  await waitFor(
    'no cancellation to be followed up',
    async () => (await client.zcard(keys.cancellations())) === 0,
  );
}, 120_000);

test('a body with an unknown field, or with a field of another type, is refused by every route that takes one', async () => {
  const before = await traces();
  const admin = asAdmin(() => edge);
  const targets = operations.filter(
    ({ operation }) => operation.security && operation.requestBody?.content['application/json'],
  );
  expect(targets.length).toBeGreaterThanOrEqual(5);
  for (const { method, path, operation } of targets) {
    const { schema, example = {} } = operation.requestBody?.content['application/json'] ?? { schema: {} };
    const own = path.startsWith('/jobs') ? known.jobId : known.containerId;
    const wrong = ['unknownField', ...fieldsOf(schema)].map((field) => ({ ...example, [field]: [[[]]] }));
    for (const body of wrong) {
      const answer = path.startsWith('/admin')
        ? await admin(method, path.replace('{id}', own), body)
        : await edge.call('ada', method, path.replace('{id}', own), { body });
      expect([path, body, answer.status]).toEqual([path, body, 400]);
    }
  }
  expect(await traces()).toEqual(before);
});

test('an unknown method or path is a 404, with any headers and body', async () => {
  const attack = fc.record({
    method: fc.constantFrom('PUT', 'PATCH', 'DELETE', 'POST'),
    path: hostileId.map((id) => `/x/${id}`),
    query: text.map((t) => `?${encodeURIComponent(t)}`),
    headers: noise,
    body: fc.option(text, { nil: undefined }),
  });
  await fc.assert(
    fc.asyncProperty(attack, async (request) => {
      expect((await send(request)).status).toBe(404);
    }),
    { numRuns: 50 },
  );
});

test('an unusual but well-formed request is accepted unchanged or refused, and never a 5xx', async () => {
  const anyText = fc.oneof(
    text,
    fc.string({ unit: 'grapheme' }),
    fc.constantFrom('\ud800', '\0', '\udfff"\\'),
  );
  const url = fc.oneof(
    fc.webUrl(),
    anyText.map((t) => `https://hooks.test/${t}`),
    anyText.map((t) => `http://${t}/`),
  );
  const inference = fc.record(
    {
      model: fc.constant('m'),
      prompt: anyText,
      timeoutMs: fc.integer(),
      seed: fc.integer(),
      webhookUrl: url,
    },
    { requiredKeys: ['model', 'prompt'] },
  );
  const desktop = fc.record(
    {
      name: anyText,
      env: fc.dictionary(fc.constantFrom('A', 'B', '_'), anyText),
      cpus: fc.double(),
      webhookUrl: url,
    },
    { requiredKeys: [] },
  );
  const request = fc.oneof(
    inference.map((body) => ['/inference', body] as const),
    desktop.map((body) => ['/containers/start', body] as const),
  );
  await fc.assert(
    fc.asyncProperty(request, jsonType, async ([path, body], type) => {
      const user = `u-${newId()}`;
      const headers = { 'Content-Type': type };
      const { status, body: reply } = await edge.call(user, 'POST', path, { body, headers });
      expect(reply.code).not.toBe('unsupported_media_type');
      if (status >= 400 && status < 500) return;
      expect([status, reply]).toEqual([202, expect.objectContaining({ jobId: expect.any(String) })]);
      const job = await edge.gateway.redis.client.hgetall(keys.job(user, String(reply.jobId)));
      const [row] = await edge.postgres.sql`select webhook_url from jobs where id = ${String(reply.jobId)}`;
      expect(row?.webhook_url).toBe(job.webhookUrl);
      expect(job.webhookUrl).toMatch(/^[\x21-\x7e]*$/);
    }),
    { numRuns: 150 },
  );
});
