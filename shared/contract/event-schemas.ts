import { z } from 'zod';
import { Position, StoredEvent } from './events.ts';
import { JOB_COMMANDS } from './registry.ts';
import { Completion } from './results.ts';

/** `job.timed_out` as `JobTimedOut`. */
export const pascal = (text: string): string =>
  text.replace(/(?:^|[._])([a-z])/g, (_match, letter: string) => letter.toUpperCase());

/** The name of an event's schema in the published documents: `JobTimedOutEvent` for `job.timed_out`. */
export const eventSchemaName = (type: string): string => `${pascal(type)}Event`;

/** The reference of a document to the schema of this name. */
export const schemaRef = (name: string): string => `#/components/schemas/${name}`;

/** Every event by the name of its schema, as a client receives it. */
const EVENTS = StoredEvent.options.map((event) => {
  const type = event.shape.type.value;
  const published = type === 'job.completed' ? event.extend({ data: Completion }) : event;
  const schema = published.extend(Position.shape);
  const { description } = event;
  return { type, name: eventSchemaName(type), schema: description ? schema.describe(description) : schema };
});

type JsonSchemas = Record<string, Record<string, unknown>>;
const SHARED = '__shared';

/** Gives each schema with an id of its own an entry of its own: zod gathers them within one shared schema. */
function withShared({ [SHARED]: shared, ...schemas }: JsonSchemas): JsonSchemas {
  const gathered = (shared?.definitions ?? shared?.$defs ?? {}) as JsonSchemas;
  const refs = new RegExp(`${schemaRef(SHARED)}#/(?:definitions|\\$defs)/`, 'g');
  return JSON.parse(JSON.stringify({ ...gathered, ...schemas }).replace(refs, schemaRef(''))) as JsonSchemas;
}

/**
 * The JSON Schemas of all events and of the results of jobs, as `components.schemas` of a document.
 *
 * @param target `draft-2020-12` for OpenAPI 3.1, `draft-7` for AsyncAPI 3
 * @param more further schemas of the same document, by their names
 */
export function eventSchemas(
  target: 'draft-2020-12' | 'draft-7',
  more: Record<string, z.ZodType> = {},
): Record<string, object> {
  const named = z.registry<{ id: string }>();
  for (const { kind, result } of JOB_COMMANDS) named.add(result, { id: `${pascal(kind)}Result` });
  for (const { name, schema } of EVENTS) named.add(schema, { id: name });
  for (const [id, schema] of Object.entries(more)) named.add(schema, { id });
  const { schemas } = z.toJSONSchema(named, { target, io: 'input', uri: schemaRef });
  return Object.fromEntries(
    Object.entries(withShared(schemas)).map(([name, { $schema, $id, ...schema }]) => [name, schema]),
  );
}

/** The schema of any event, of those that {@link eventSchemas} names. */
export const anyEventSchema = {
  description: 'An event of a room. Ignore one whose type is unknown: later versions record more types.',
  oneOf: EVENTS.map(({ name }) => ({ $ref: schemaRef(name) })),
  discriminator: {
    propertyName: 'type',
    mapping: Object.fromEntries(EVENTS.map(({ type, name }) => [type, schemaRef(name)])),
  },
};
