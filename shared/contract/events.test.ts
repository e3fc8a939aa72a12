import { expect, test } from 'vitest';
import { envelopeOf } from '../../infra/quality/testing/events.ts';
import { anyEventSchema, eventSchemaName, eventSchemas } from './event-schemas.ts';
import { isAnyEnvelope, isEnvelope, StoredEvent } from './events.ts';
import { JOB_COMMANDS } from './registry.ts';
import { isCompletion } from './results.ts';

const TYPES = StoredEvent.options.map(({ shape }) => shape.type.value);

test('an event of a later version is an event, but not one of this version', () => {
  const known = envelopeOf('container.stopping', { containerId: 'c', reason: 'idle' });
  expect(isEnvelope(known)).toBe(true);
  expect(isEnvelope({ ...known, data: { ...known.data, added: true }, also: 1 })).toBe(true);
  const later = [
    { ...known, type: 'container.action', data: { by: 'ada' } },
    { ...known, data: { containerId: 'c', reason: 'host_drained' } },
    { ...known, data: 7 },
  ];
  for (const event of later) expect([isAnyEnvelope(event), isEnvelope(event)]).toEqual([true, false]);
  for (const none of [undefined, null, 'x', 7, {}, { type: 'job.queued' }, { ...known, id: 5 }]) {
    expect([isAnyEnvelope(none), isEnvelope(none)]).toEqual([false, false]);
  }
});

test('a result is narrowed by the kind of its job', () => {
  const data = (kind: string, result: unknown) => {
    const event = envelopeOf('job.completed', { kind, result });
    if (event.type !== 'job.completed') throw new Error('not an end');
    return event.data;
  };
  const started = { containerId: 'c', width: 800, height: 600 };
  expect(isCompletion(data('container.start', started))).toBe(true);
  expect(isCompletion(data('container.start', { ...started, warm: true }))).toBe(true);
  expect(isCompletion(data('container.stop', { containerId: 'c' }))).toBe(true);
  expect(isCompletion(data('inference', { text: 'of another version' }))).toBe(false);
});

test('each type of event and each result has a schema under its name, and the schema of all events lists each type', () => {
  const schemas = eventSchemas('draft-2020-12');
  const { oneOf, discriminator } = anyEventSchema;
  expect(oneOf).toHaveLength(TYPES.length);
  for (const type of TYPES) {
    const name = eventSchemaName(type);
    expect(discriminator.mapping[type]).toBe(`#/components/schemas/${name}`);
    expect(schemas[name]).toMatchObject({ properties: { type: { const: type } } });
  }
  const capital = (word: string) => word.charAt(0).toUpperCase() + word.slice(1);
  for (const { kind } of JOB_COMMANDS) {
    expect(Object.keys(schemas)).toContain(`${kind.split('.').map(capital).join('')}Result`);
  }
});
