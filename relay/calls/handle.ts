import { createHash } from 'node:crypto';
import { CALL_CLIENT_EVENTS, CALLS_BY_EVENT } from '@warmwind/shared/contract/call-events';
import { ApiError } from '@warmwind/shared/contract/errors';
import type { Ack } from '@warmwind/shared/contract/tickets';
import { subjectOf } from '../auth/ticket.ts';
import { LIMITS } from '../limits.ts';
import type { RecordSources } from '../rooms/records.ts';
import type { Rates } from '../shares.ts';
import type { Inbound } from '../sockets/inbound.ts';
import type { RelaySocket } from '../sockets/socket.ts';
import { admitCall } from './admit.ts';
import type { Calls } from './calls.ts';
import type { CallLimiter } from './limiter.ts';

/** The dependencies of calls that come by a socket. */
export type SocketCallsContext = {
  recordSources: RecordSources;
  calls: Calls;
  callLimiter: CallLimiter;
  lookups: Rates;
};

type Event = keyof typeof CALL_CLIENT_EVENTS;

/** Handles the events by which one socket sends calls. A socket that disconnects aborts its calls. */
export function handleCalls(socket: RelaySocket, inbound: Inbound, context: SocketCallsContext): void {
  const disconnected = new AbortController();
  socket.on('disconnect', () => disconnected.abort());
  const { calls, callLimiter, recordSources, lookups } = context;
  for (const event of Object.keys(CALL_CLIENT_EVENTS) as Event[]) {
    const command = CALLS_BY_EVENT[event];
    inbound.on(event, CALL_CLIENT_EVENTS[event].argument, async (argument, reply) => {
      const { containerId, idempotencyKey, incarnation, input } = argument;
      const { ticket } = socket.data;
      refuseLongTexts(input);
      lookups.take(subjectOf(ticket));
      const admitted = await admitCall(recordSources, ticket, {
        command,
        containerId,
        incarnation,
        uncheckedInput: input,
        keyHash:
          idempotencyKey === undefined
            ? undefined
            : createHash('sha256').update(idempotencyKey).digest('hex'),
      });
      await callLimiter.charge(ticket.sub, command.limits);
      const { answer, read } = await calls.ask({ ...admitted, signal: disconnected.signal });
      const result = withBinary(JSON.parse(answer.bytes.toString()));
      reply({ ok: true, incarnation: admitted.incarnation, replayed: answer.replayed, result } as Ack);
      releaseOnceSent(socket, read);
    });
  }
}

/** The most characters of the texts of one call that comes by the socket: its message has 64 KB. */
const MAX_TEXT = 4000;

/** @throws ApiError `bad_request` */
function refuseLongTexts({ actions }: { actions: readonly object[] }): void {
  const texts = actions.map((action) => ('text' in action ? String(action.text) : ''));
  if ([...texts.join('')].length <= MAX_TEXT) return;
  const message = `at most ${MAX_TEXT} characters of text in a call by the socket`;
  throw new ApiError('bad_request', `Correct input.actions: ${message}; send more by HTTP.`);
}

/** Puts the bytes of pictures in place of their base64. */
function withBinary(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withBinary);
  if (typeof value !== 'object' || value === null) return value;
  const isPicture = 'frame' in value && 'data' in value && typeof value.data === 'string';
  if (isPicture) return { ...value, data: Buffer.from(String(value.data), 'base64') };
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, withBinary(field)]));
}

/** Releases the bytes of an answer once the socket has sent them, or is closed. */
function releaseOnceSent(socket: RelaySocket, read: () => void): void {
  const { conn } = socket;
  const late = setTimeout(() => conn.close(true), LIMITS.answerReadMs).unref();
  const end = () => {
    clearTimeout(late);
    conn.off('drain', end);
    conn.off('close', end);
    read();
  };
  conn.on('drain', end);
  conn.on('close', end);
}
