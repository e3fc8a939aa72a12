import { z } from 'zod';
import { ERROR_STATUS, type ErrorCode } from './errors.ts';
import { eventSchemaName, eventSchemas, pascal, schemaRef } from './event-schemas.ts';
import { StoredEvent } from './events.ts';
import { CLIENT_EVENTS, RELAY_EVENTS } from './socket.ts';

const Refused = z.object({
  ok: z.literal(false),
  code: z.enum(Object.keys(ERROR_STATUS) as ErrorCode[]),
  message: z.string().describe('The next step.'),
});
const accepted = (answer: z.ZodObject) => answer.extend({ ok: z.literal(true) });

const ref = (...path: string[]) => ({
  $ref: `#/${path.map((part) => part.replaceAll('/', '~1')).join('/')}`,
});
const named = (name: string): string => pascal(name.replaceAll(':', '.'));

/** One event of a socket: the name under which Socket.IO emits it, and the schema of its arguments. */
type Message = { name: string; summary?: string; payload: object; examples?: { payload: unknown }[] };

/** The kinds of rooms and the events of each; the output of a job stays in its own room. */
const ROOMS = {
  job: { id: 'jobId', has: (type: string) => type.startsWith('job.') },
  container: { id: 'containerId', has: (type: string) => type.startsWith('container.') },
  user: { id: 'userId', has: (type: string) => type !== 'job.output' },
} as const;

/** The parts of the document that describe a group of events. */
type Part = {
  schemas: Record<string, z.ZodType>;
  messages: Record<string, Message>;
  operations: Record<string, object>;
};

const SOCKET = ref('channels', 'socket');
const inSocket = (name: string) => ref('channels', 'socket', 'messages', name);
const empty = (): Part => ({ schemas: {}, messages: {}, operations: {} });

const examples = (event: object): Pick<Message, 'examples'> =>
  'example' in event ? { examples: [{ payload: event.example }] } : {};

/** The events that clients send, with their acknowledgements. */
function clientEvents(): Part {
  const part = empty();
  const { schemas, messages, operations } = part;
  const add = (id: string, schema: z.ZodType, message: Omit<Message, 'payload'>): void => {
    schemas[`${id}Payload`] = schema;
    messages[id] = { ...message, payload: { $ref: schemaRef(`${id}Payload`) } };
  };
  add('Refused', Refused, { name: 'acknowledgement', summary: 'The event was refused.' });
  for (const [event, { summary, argument, ...rest }] of Object.entries(CLIENT_EVENTS)) {
    const id = named(event);
    add(id, argument, { name: event, summary, ...examples(rest) });
    const answers = [inSocket('Refused')];
    if ('answer' in rest) {
      add(`${id}Answer`, accepted(rest.answer), { name: 'acknowledgement' });
      answers.unshift(inSocket(`${id}Answer`));
    }
    const reply = { channel: SOCKET, messages: answers };
    operations[`receive${id}`] = {
      action: 'receive',
      summary,
      channel: SOCKET,
      messages: [inSocket(id)],
      reply,
    };
  }
  return part;
}

/** The events that the relay sends in addition to those of rooms. */
function relayEvents(): Part {
  const part = empty();
  for (const [event, { summary, args, ...rest }] of Object.entries(RELAY_EVENTS)) {
    const id = `${named(event)}Notice`;
    part.schemas[`${id}Payload`] = args;
    const payload = { $ref: schemaRef(`${id}Payload`) };
    part.messages[id] = { name: event, summary, payload, ...examples(rest) };
    part.operations[`send${id}`] = { action: 'send', summary, channel: SOCKET, messages: [inSocket(id)] };
  }
  return part;
}

const TYPES = StoredEvent.options.map(({ shape }) => shape.type.value);

/** A room's channel and the operation that sends its events. */
function room(kind: keyof typeof ROOMS): { channel: object; operation: object } {
  const { id, has } = ROOMS[kind];
  const names = TYPES.filter(has).map(eventSchemaName);
  const messages = names.map((name) => ref('channels', kind, 'messages', name));
  return {
    channel: {
      address: `${kind}:{${id}}`,
      description: 'A room: followed by `subscribe`, its events are recorded and replayed.',
      parameters: { [id]: {} },
      messages: Object.fromEntries(names.map((name) => [name, ref('components', 'messages', name)])),
    },
    operation: { action: 'send', channel: ref('channels', kind), messages },
  };
}

/** The AsyncAPI 3 document of the relay: made of the schemas that check and type its messages. */
export function asyncApiDocument(): object {
  const [client, relay] = [clientEvents(), relayEvents()];
  const ofSocket = { ...client.messages, ...relay.messages };
  const recorded = TYPES.map((type) => {
    const name = eventSchemaName(type);
    return [name, { name: type, payload: { $ref: schemaRef(name) } }];
  });
  const socket = Object.keys(ofSocket).map((name) => [name, ref('components', 'messages', name)]);
  const { job, container, user } = { job: room('job'), container: room('container'), user: room('user') };
  return {
    asyncapi: '3.0.0',
    info: { title: 'Warmwind relay', version: '1', description: DESCRIPTION, license: { name: 'MIT' } },
    defaultContentType: 'application/json',
    channels: {
      socket: { address: null, title: 'The connection', messages: Object.fromEntries(socket) },
      job: job.channel,
      container: container.channel,
      user: user.channel,
    },
    operations: {
      ...client.operations,
      ...relay.operations,
      sendJobEvent: job.operation,
      sendContainerEvent: container.operation,
      sendUserEvent: user.operation,
    },
    components: {
      messages: { ...ofSocket, ...Object.fromEntries(recorded) },
      schemas: eventSchemas('draft-7', { ...client.schemas, ...relay.schemas }),
    },
  };
}

const DESCRIPTION = `A Socket.IO server, over the WebSocket transport only. Connect with \`auth: {token}\`, a ticket of \`POST /realtime/token\`, whose answer names the address.

A message's \`name\` is the event's name. A client's event has one argument, its payload, and is acknowledged by \`{ok: true, …}\` or \`{ok: false, code, message}\`. The payload of a notice of the relay is the list of its arguments. An event of a room is emitted under its type with one argument. Later versions add events, and fields of events: ignore unknown ones.`;
