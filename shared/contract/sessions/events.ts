import { z } from 'zod';
import { Incarnation } from '../envelope.ts';
import { Binary } from './binary.ts';
import { SESSION_CODES, SessionOffset } from './codes.ts';
import { SESSION_COMMANDS } from './registry.ts';

const SessionId = z.string().max(200).describe('As `session:open` returned it.');
const OfSession = z.strictObject({ sessionId: SessionId });
const Position = SessionOffset.describe('Bytes of this direction before it.');
const Data = z.strictObject({ sessionId: SessionId, offset: Position, bytes: Binary });
const End = z.strictObject({ sessionId: SessionId, offset: SessionOffset.describe('Bytes in all.') });
const Ack = z.strictObject({
  sessionId: SessionId,
  received: SessionOffset.describe('All before it has arrived; the end counts as one after the last byte.'),
  consumed: SessionOffset.describe('All before it was read: 2 MB may be on their way from here on.'),
  resend: z.boolean().optional().describe('Send again from `received` on.'),
});

const opens = SESSION_COMMANDS.map(({ kind, input, summary }) =>
  z.strictObject({
    kind: z.literal(kind).describe(summary),
    containerId: z.string().max(64),
    incarnation: Incarnation.optional().describe(
      'Refused when the container has another incarnation by now.',
    ),
    input,
  }),
);
const [first, ...others] = opens;
if (!first) throw new Error('no session is registered');

/** A session while its client is attached. */
const Attached = z.object({
  sessionId: SessionId,
  incarnation: Incarnation,
  expiresAt: z.iso.datetime().describe('Its deadline.'),
});

/** The events of sessions that a client sends to the relay: see `CLIENT_EVENTS`. */
export const SESSION_CLIENT_EVENTS = {
  'session:open': {
    summary: 'Opens a byte stream to a container, for its owner.',
    argument: z.discriminatedUnion('kind', [first, ...others]),
    answer: Attached,
  },
  'session:attach': {
    summary: 'Continues a session over this connection, within 30 s of the end of the last one.',
    argument: OfSession.extend({ received: SessionOffset.describe('Bytes that have arrived here.') }),
    answer: Attached,
  },
  'session:data': {
    summary: 'Bytes to the container, at most 60 KB, within the credit.',
    argument: Data,
  },
  'session:end': { summary: 'No more bytes follow; the other direction continues.', argument: End },
  'session:ack': {
    summary: 'Acknowledges bytes, at least every five seconds: the sign of life of the client.',
    argument: Ack,
  },
  'session:abort': {
    summary: 'Ends the session at once.',
    argument: OfSession.extend({ message: z.string().max(500).optional() }),
    answer: z.object({}),
  },
} as const;

/** The events of sessions that the relay sends: see `RELAY_EVENTS`. */
export const SESSION_RELAY_EVENTS = {
  'session:data': {
    summary: 'Bytes of the container, at most 256 KB, within the credit.',
    args: z.tuple([Data]),
  },
  'session:end': { summary: 'No more bytes follow from the container.', args: z.tuple([End]) },
  'session:ack': { summary: 'Acknowledges bytes of the client.', args: z.tuple([Ack]) },
  'session:closed': {
    summary: 'The session has ended and can not be attached again.',
    args: z.tuple([
      z.object({
        sessionId: SessionId,
        code: z.enum(SESSION_CODES),
        message: z.string(),
        result: z.unknown().optional().describe('Of its kind, when it is complete.'),
      }),
    ]),
  },
  'session:detached': {
    summary: 'This connection no longer carries the session: attach again, unless another connection did.',
    args: z.tuple([
      z.object({ sessionId: SessionId, reason: z.enum(['host_away', 'replaced', 'overload']) }),
    ]),
  },
} as const satisfies Record<string, { summary: string; args: z.ZodTuple }>;
