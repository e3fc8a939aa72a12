import { readIncarnation } from '@warmwind/shared/contract/envelope';
import { ApiError } from '@warmwind/shared/contract/errors';
import type { Context } from 'hono';
import type { OpenAnswers } from '../http/hold.ts';
import type { HttpEnv } from '../http/http.ts';
import { LIMITS } from '../limits.ts';
import type { RecordSources } from '../rooms/records.ts';
import { admitCall, type UncheckedCall } from './admit.ts';
import type { Calls } from './calls.ts';

/** The dependencies of the routes of calls. */
export type CallsContext = { recordSources: RecordSources; answers: OpenAnswers; calls: Calls };

/** Answers a request with the answer of the container's host. A client that disconnects aborts its call. */
export async function answerCall(
  c: Context<HttpEnv>,
  { recordSources, answers, calls }: CallsContext,
  call: Omit<UncheckedCall, 'incarnation'>,
): Promise<Response> {
  const incarnation = requiredIncarnation(c.req.header('If-Match'));
  const admitted = await admitCall(recordSources, c.var.ticket, { ...call, incarnation });
  const disconnected = new AbortController();
  answers.hold(c, () => undefined);
  c.env.outgoing.once('close', () => disconnected.abort());
  const { answer, read } = await calls.ask({ ...admitted, signal: disconnected.signal });
  const { outgoing } = c.env;
  const readTimer = setTimeout(() => outgoing.destroy(), LIMITS.answerReadMs).unref();
  const end = () => {
    clearTimeout(readTimer);
    read();
  };
  if (outgoing.closed) end();
  else outgoing.once('close', end);
  const { type, headers, bytes, replayed, notModified } = answer;
  // A view, not a copy: clients that share an answer receive the same bytes.
  const view = new Uint8Array(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.length);
  const head = {
    ...headers,
    'X-Incarnation': `${admitted.incarnation}`,
    ...(replayed ? { 'Idempotent-Replayed': 'true' } : {}),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
  };
  if (notModified) return c.body(null, 304, head);
  return c.body(view, 200, { ...head, 'Content-Type': type });
}

/** @throws ApiError `bad_request` */
function requiredIncarnation(header: string | undefined): number | undefined {
  if (header === undefined) return undefined;
  const incarnation = readIncarnation(header);
  if (incarnation !== undefined) return incarnation;
  throw new ApiError('bad_request', 'Send an incarnation in quotes: If-Match: "1".', {
    issues: [{ path: 'if-match', message: 'an incarnation in quotes' }],
  });
}
