import { containerActions } from '@warmwind/shared/contract/commands/container-actions';
import { SESSION_COMMANDS } from '@warmwind/shared/contract/sessions/registry';
import type { CLIENT_EVENTS } from '@warmwind/shared/contract/socket';
import type { Thing } from './world.ts';

type Event = keyof typeof CLIENT_EVENTS;

/**
 * One way to name a thing by an event of the socket. `refusal`: how a thing that is not the caller's is
 * refused; `none` for an event that leaves what it names, or that has no answer.
 */
export type EventCase = {
  name: string;
  event: Event;
  thing: Thing;
  refusal: 'not_found' | 'none';
  argument: (id: string) => object;
};

const of = (
  event: Event,
  thing: Thing,
  argument: EventCase['argument'],
  refusal: EventCase['refusal'] = 'not_found',
): EventCase => ({ name: `${event} of a ${thing}`, event, thing, refusal, argument });

const container = (event: Event, more: object = {}, refusal?: EventCase['refusal']): EventCase =>
  of(event, 'container', (containerId) => ({ containerId, ...more }), refusal);
const session = (event: Event, more: object): EventCase =>
  of(event, 'session', (sessionId) => ({ sessionId, ...more }));
const terminal = (event: Event, more: object = {}): EventCase =>
  of(event, 'terminal', (ttyId) => ({ ttyId, ...more }));

/** The cases of every event; one that is missing here does not compile. */
const EVENTS: Record<Event, EventCase[]> = {
  subscribe: [
    of('subscribe', 'container', (id) => ({ room: `container:${id}` })),
    of('subscribe', 'job', (id) => ({ room: `job:${id}` })),
  ],
  unsubscribe: [of('unsubscribe', 'container', (id) => ({ room: `container:${id}` }), 'none')],
  'vnc:watch': [container('vnc:watch')],
  'vnc:unwatch': [container('vnc:unwatch', {}, 'none')],
  'vnc:refresh': [container('vnc:refresh')],
  'vnc:viewers': [container('vnc:viewers')],
  'vnc:control': [container('vnc:control', { action: 'take' })],
  'vnc:input': [container('vnc:input', { input: { t: 'key', keysym: 0x61, down: true } }, 'none')],
  'vnc:ack': [container('vnc:ack', { epoch: 0, seq: 0 }, 'none')],
  'session:open': SESSION_COMMANDS.map(({ kind, example }) => ({
    ...container('session:open', { kind, input: example }),
    name: `session:open of ${kind}`,
  })),
  'session:attach': [session('session:attach', { received: 0 })],
  'session:data': [session('session:data', { offset: 0, bytes: Buffer.from('x') })],
  'session:end': [session('session:end', { offset: 0 })],
  'session:ack': [session('session:ack', { received: 0, consumed: 0 })],
  'container:actions': [container('container:actions', { input: containerActions.example })],
  'session:abort': [session('session:abort', {})],
  'tty:open': [container('tty:open', { cols: 80, rows: 24 })],
  'tty:attach': [terminal('tty:attach', { after: 0 })],
  'tty:data': [terminal('tty:data', { bytes: Buffer.from('x') })],
  'tty:resize': [terminal('tty:resize', { cols: 80, rows: 24 })],
  'tty:detach': [terminal('tty:detach')],
  'tty:close': [terminal('tty:close')],
};

export const EVENT_CASES: readonly EventCase[] = Object.values(EVENTS).flat();
