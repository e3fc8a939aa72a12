import { z } from 'zod';
import { CALL_CLIENT_EVENTS } from './call-events.ts';
import { isEventId } from './rooms.ts';
import {
  ControlAction,
  ControlAnswer,
  ControlRequest,
  Holder,
  InputDropped,
  ScreenInput,
  Viewers,
  WatchAnswer,
} from './screen.ts';
import { SESSION_CLIENT_EVENTS, SESSION_RELAY_EVENTS } from './sessions/events.ts';
import { TERMINAL_CLIENT_EVENTS, TERMINAL_RELAY_EVENTS } from './sessions/terminal-events.ts';
import { Draining, SubscribeAnswer } from './tickets.ts';

const RoomName = z.string().max(200).describe('`job:<id>`, `container:<id>` or `user:<own id>`.');
const ContainerId = z.string().max(64).describe('Id of the container.');
const OfContainer = z.strictObject({ containerId: ContainerId });
const Nothing = z.object({});
/** Binary: Socket.IO sends it as an attachment. */
const Bytes = z.unknown().meta({ type: 'string', format: 'binary', description: 'The RFB message.' });

/**
 * The events that a client sends to the relay: each with one argument. `answer` holds the fields that a
 * positive acknowledgement adds to `ok`; an event without one is acknowledged only when it is refused.
 */
export const CLIENT_EVENTS = {
  subscribe: {
    summary: 'Follows a room: every event after `after`, all if it is left out, then live ones.',
    argument: z.strictObject({
      room: RoomName,
      after: z.string().refine(isEventId, 'use the id of an event that you have received').nullish(),
    }),
    answer: SubscribeAnswer,
  },
  unsubscribe: {
    summary: 'Leaves a room.',
    argument: z.strictObject({ room: RoomName }),
    answer: Nothing,
  },
  'vnc:watch': {
    summary: 'Watches a screen: a `vnc:key` follows as soon as the container runs.',
    argument: OfContainer,
    answer: WatchAnswer,
  },
  'vnc:unwatch': { summary: 'Leaves a screen.', argument: OfContainer, answer: Nothing },
  'vnc:refresh': {
    summary: 'Requests a keyframe, at most once a second.',
    argument: OfContainer,
    answer: Nothing,
  },
  'vnc:viewers': {
    summary: 'Lists the viewers on all nodes, for the owner.',
    argument: OfContainer,
    answer: Viewers,
  },
  'vnc:control': {
    summary: 'Requests, takes, grants or releases control.',
    argument: z
      .strictObject({
        containerId: ContainerId,
        action: ControlAction,
        viewerId: z.string().max(64).optional().describe('The viewer that control is granted to.'),
      })
      .refine(({ action, viewerId }) => (action === 'grant') === (viewerId !== undefined), {
        path: ['viewerId'],
        message: 'goes with the action "grant", and with no other',
      }),
    answer: ControlAnswer,
  },
  'vnc:input': {
    summary: 'One input. Input that does not reach the container is reported by `vnc:dropped`.',
    argument: z.strictObject({ containerId: ContainerId, input: ScreenInput }),
  },
  'vnc:ack': {
    summary: 'Acknowledges all frames up to this one, at least every 100 ms or 128 KB.',
    argument: z.object({ containerId: ContainerId, epoch: z.number(), seq: z.number() }),
  },
  ...SESSION_CLIENT_EVENTS,
  ...TERMINAL_CLIENT_EVENTS,
  ...CALL_CLIENT_EVENTS,
} as const satisfies Record<
  string,
  { summary: string; argument: z.ZodType; answer?: z.ZodType; example?: object }
>;

const frame = [
  ContainerId,
  z.number().describe('Epoch of the stream.'),
  z.number().describe('Sequence.'),
] as const;

/** The events that the relay sends in addition to those of rooms: the arguments of each, in order. */
export const RELAY_EVENTS = {
  'vnc:key': {
    summary: 'A keyframe: the complete screen, as an RFB FramebufferUpdate.',
    args: z.tuple([...frame, z.number().describe('Width.'), z.number().describe('Height.'), Bytes]),
  },
  'vnc:frame': {
    summary: 'The change from the frame before it, which has the sequence number before this one.',
    args: z.tuple([...frame, Bytes]),
  },
  'vnc:cut': {
    summary: 'The clipboard of the container; not sent to a share link that may only view.',
    args: z.tuple([z.object({ containerId: ContainerId, text: z.string() })]),
  },
  'vnc:cutTooLong': {
    summary: 'The clipboard of the container is too long to be sent.',
    args: z.tuple([z.object({ containerId: ContainerId })]),
  },
  'vnc:control': {
    summary: 'Another viewer holds control, or none does.',
    args: z.tuple([z.object({ containerId: ContainerId, holder: Holder.nullable() })]),
  },
  'vnc:request': {
    summary: 'A viewer requests control: sent to those who can grant or release it.',
    args: z.tuple([ControlRequest]),
  },
  'vnc:dropped': {
    summary: 'Inputs of this viewer did not reach the container; about once a second for each reason.',
    args: z.tuple([InputDropped]),
  },
  'vnc:gone': {
    summary: 'The stream of the screen ended. A keyframe follows if the container keeps running.',
    args: z.tuple([z.object({ containerId: ContainerId, reason: z.string() })]),
  },
  'relay:draining': {
    summary: 'This node closes the connection within this time: reconnect then.',
    args: z.tuple([Draining]),
  },
  ...SESSION_RELAY_EVENTS,
  ...TERMINAL_RELAY_EVENTS,
} as const satisfies Record<string, { summary: string; args: z.ZodTuple; example?: readonly object[] }>;
