import asyncapi from '@asyncapi/specs';
import { asyncApiDocument } from '@warmwind/shared/contract/asyncapi';
import { isEnvelope, StoredEvent } from '@warmwind/shared/contract/events';
import { CLIENT_EVENTS, RELAY_EVENTS } from '@warmwind/shared/contract/socket';
import { Ajv } from 'ajv';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestEdge, type TestEdge } from '../../infra/local/edge/testing.ts';
import { envelopeOf } from '../../infra/quality/testing/events.ts';
import { EVENTS } from './examples.ts';

type Ref = { $ref: string };
type Channel = { messages: Record<string, Ref> };
type Document = {
  channels: Record<string, Channel>;
  operations: Record<string, { action: string; channel: Ref; messages: Ref[]; reply?: { messages: Ref[] } }>;
  components: {
    messages: Record<string, { name: string; payload: Ref }>;
    schemas: Record<string, { description?: string }>;
  };
};

let edge: TestEdge;
let document: Document;

beforeAll(async () => {
  edge = await startTestEdge();
  document = (await edge.call(undefined, 'GET', '/asyncapi.json')).body as Document;
});
afterAll(() => edge?.stop());

const ajv = () => new Ajv({ strict: false, validateFormats: false });
/** The schema of the specification, which includes that of JSON Schema. */
const specification = () =>
  new Ajv({ strict: false, validateFormats: false, meta: false, validateSchema: false }).compile(
    asyncapi.schemas['3.0.0'],
  );
/** Resolves a reference of the document. */
const at = ({ $ref }: Ref): unknown =>
  $ref
    .slice(2)
    .split('/')
    .reduce<unknown>((part, name) => (part as Record<string, unknown>)[name.replaceAll('~1', '/')], document);

test('/asyncapi.json is built from the present schemas, and is AsyncAPI 3.0', () => {
  expect(document).toEqual(JSON.parse(JSON.stringify(asyncApiDocument())));
  const validate = specification();
  expect([validate(document), validate.errors]).toEqual([true, null]);
});

test('every reference in it resolves', () => {
  const refs = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map(([, $ref = '']) => $ref);
  expect(refs.length).toBeGreaterThan(100);
  for (const $ref of refs) expect([$ref, at({ $ref })]).toEqual([$ref, expect.anything()]);
});

test('every event of rooms, clients and the relay appears in a channel and in an operation', () => {
  const { channels, operations, components } = document;
  const recorded = StoredEvent.options.map(({ shape }) => shape.type.value);
  const all = [...recorded, ...Object.keys(CLIENT_EVENTS), ...Object.keys(RELAY_EVENTS)];
  const nameOf = (ref: Ref): string => {
    const found = at(ref) as Ref | { name: string };
    return '$ref' in found ? nameOf(found) : found.name;
  };
  const inChannels = Object.values(channels).flatMap(({ messages }) => Object.values(messages).map(nameOf));
  const inOperations = Object.values(operations).flatMap(({ messages }) => messages.map(nameOf));
  expect([...new Set(inChannels)].sort()).toEqual([...new Set([...all, 'acknowledgement'])].sort());
  expect([...new Set(inOperations)].sort()).toEqual([...new Set(all)].sort());
  expect(Object.keys(components.messages)).toHaveLength(
    recorded.length +
      Object.keys(CLIENT_EVENTS).length +
      Object.values(CLIENT_EVENTS).filter((event) => 'answer' in event).length +
      Object.keys(RELAY_EVENTS).length +
      1,
  );
  for (const type of recorded) {
    const rooms = Object.entries(channels).filter(([, { messages }]) =>
      Object.values(messages).some((ref) => nameOf(ref) === type),
    );
    const own = type.slice(0, type.indexOf('.'));
    expect([type, rooms.map(([name]) => name)]).toEqual([
      type,
      type === 'job.output' ? [own] : [own, 'user'],
    ]);
  }
});

test('a document that is not AsyncAPI fails the check', () => {
  const validate = specification();
  const [name = ''] = Object.keys(document.operations);
  const invalid = { ...document, operations: { [name]: { ...document.operations[name], action: 'tell' } } };
  expect([validate({ ...document, info: {} }), validate(invalid)]).toEqual([false, false]);
});

test('a message matches the schema of its type, and of no other type', () => {
  const checker = ajv().addSchema({ $id: 'document', components: document.components });
  const schemaOf = (name: string) => checker.getSchema(`document#/components/schemas/${name}`);
  const ended = { containerId: 'c', width: 800, height: 600 };
  const completed = envelopeOf('job.completed', { kind: 'container.start', result: ended });
  expect(schemaOf('JobCompletedEvent')?.(completed)).toBe(true);
  expect(schemaOf('JobCompletedEvent')?.({ ...completed, data: { ...completed.data, result: 1 } })).toBe(
    false,
  );
  expect(schemaOf('JobFailedEvent')?.(completed)).toBe(false);
  expect(schemaOf('SubscribePayload')?.({ room: 'job:j', after: '1-0' })).toBe(true);
  expect(schemaOf('SubscribePayload')?.({ room: 'job:j', since: 1 })).toBe(false);
  expect(
    schemaOf('VncInputPayload')?.({ containerId: 'c', input: { t: 'key', keysym: 97, down: true } }),
  ).toBe(true);
  expect(schemaOf('VncKeyNoticePayload')?.(['c', 1, 0, 800, 600, 'bytes'])).toBe(true);
  expect(schemaOf('VncKeyNoticePayload')?.(['c', 1])).toBe(false);
});

test('the OpenAPI document names the schema of every event, by which the stream of a job is described', async () => {
  const { body } = await edge.call(undefined, 'GET', '/openapi.json');
  const { schemas } = body.components as { schemas: Record<string, object> };
  for (const name of Object.keys(document.components.schemas)) {
    if (name.endsWith('Event') || name.endsWith('Result')) expect(schemas[name]).toBeDefined();
  }
  expect(body.webhooks).toMatchObject({ job: { post: { requestBody: expect.anything() } } });
  expect(schemas.WebhookEvent).toMatchObject({ oneOf: expect.anything() });
  const stream = JSON.stringify((body.paths as Record<string, object>)['/jobs/{id}/events']);
  expect(stream).toContain('"$ref":"#/components/schemas/Event"');
  const [, example = ''] = /^data: (.+)$/m.exec(EVENTS) ?? [];
  expect(isEnvelope(JSON.parse(example))).toBe(true);
});
