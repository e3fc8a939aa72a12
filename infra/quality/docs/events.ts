import { StoredEvent } from '@warmwind/shared/contract/events';
import { CLIENT_EVENTS, RELAY_EVENTS } from '@warmwind/shared/contract/socket';
import { WebhookEvent } from '@warmwind/shared/contract/webhook-events';
import { code, page, table } from './markdown.ts';
import { fields, jsonSchema } from './schema.ts';

/**
 * The rooms that record an event: its subject's and its owner's; output is recorded only in its job's room.
 */
function roomsOf(type: string): string {
  const subject = type.slice(0, type.indexOf('.'));
  return type === 'job.output' ? code('job:') : `${code(`${subject}:`)}, ${code('user:')}`;
}

const recorded = StoredEvent.options.map((option) => {
  const { type, data } = option.shape;
  return [code(type.value), roomsOf(type.value), option.description ?? '', fields(jsonSchema(data))];
});

const notices = WebhookEvent.options.map(({ shape, description = '' }) => [
  code(shape.type.value),
  description,
  fields(jsonSchema(shape.data)),
]);

const sent = Object.entries(CLIENT_EVENTS).map(([name, { summary, argument, ...rest }]) => [
  code(name),
  summary,
  fields(jsonSchema(argument)),
  'answer' in rest ? fields(jsonSchema(rest.answer)) || code('ok') : '',
]);

const received = Object.entries(RELAY_EVENTS).map(([name, { summary, args }]) => {
  const { prefixItems = [] } = jsonSchema(args);
  const shown = prefixItems.map(
    (item) => fields(item) || (item.description ?? item.type ?? 'any').replace(/\.$/, ''),
  );
  return [code(name), summary, shown.join(', ')];
});

/**
 * `docs/reference/events.md`: every event of rooms, webhooks and sockets, from the schemas that check them.
 */
export const events = (): string =>
  page(
    'Events',
    ['shared/contract/events.ts', 'shared/contract/webhook-events.ts', 'shared/contract/socket.ts'],
    [
      'The relay publishes the complete schemas as an AsyncAPI 3 document (`GET /asyncapi.json` at the edge); the edge publishes them in `GET /openapi.json`. Later versions add events and fields: ignore what is unknown. A field with `?` is optional.',
      '## Events of rooms',
      'A room is a log: `job:<id>`, `container:<id>` or `user:<id>`. A client receives `{id, room, type, run?, time, data}` by Socket.IO or as a server-sent event, and resumes after the last `id`. Events of jobs have `run`.',
      table(['type', 'rooms', 'when', 'data'], recorded),
      '## Webhooks',
      'A job’s `webhookUrl` receives `{id, type, time, data}`; `alert.job_failed` goes to `ALERT_WEBHOOK_URL`. See `docs/guides/webhooks.md`.',
      table(['type', 'when', 'data'], notices),
      '## Sent by a client to the relay',
      'Each has one argument and is acknowledged by `{ok: true, …}` or `{ok: false, code, message}`; without an answer listed, only a refusal is acknowledged.',
      table(['event', 'what it does', 'argument', 'answer'], sent),
      '## Sent by the relay',
      'Sent in addition to the events of rooms, with these arguments in order.',
      table(['event', 'when', 'arguments'], received),
    ],
  );
