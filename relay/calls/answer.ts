import { checkCall } from '@warmwind/shared/contract/call-refusal';
import type { CallCommand } from '@warmwind/shared/contract/command';
import { readIncarnation } from '@warmwind/shared/contract/envelope';
import { ApiError } from '@warmwind/shared/contract/errors';
import type { Context } from 'hono';
import { subjectOf } from '../auth/ticket.ts';
import type { OpenAnswers } from '../http/hold.ts';
import type { HttpEnv } from '../http/http.ts';
import { LIMITS } from '../limits.ts';
import type { RecordSources } from '../rooms/records.ts';
import { ownedDesktop } from '../screen/owned.ts';
import type { Calls } from './calls.ts';

/** The dependencies of the routes of calls. */
export type CallsContext = { recordSources: RecordSources; answers: OpenAnswers; calls: Calls };

/** A request for a call; its input is not validated yet. */
type CallRequest = {
  command: CallCommand;
  containerId: string;
  uncheckedInput: unknown;
  keyHash?: string | undefined;
};

/** Answers a request with the answer of the container's host. A client that disconnects aborts its call. */
export async function answerCall(
  c: Context<HttpEnv>,
  { recordSources, answers, calls }: CallsContext,
  { command, containerId, uncheckedInput, keyHash }: CallRequest,
): Promise<Response> {
  const { ticket } = c.var;
  const input = inputOf(command, uncheckedInput);
  const required = requiredIncarnation(c.req.header('If-Match'));
  const container = await ownedDesktop(recordSources, ticket, containerId);
  if (command.mode === 'control' && ticket.mode !== 'control') {
    throw new ApiError('forbidden', 'This ticket may only view: ask for one with mode "control".');
  }
  checkCall(command, container, required);
  const disconnected = new AbortController();
  answers.hold(c, () => undefined);
  c.env.outgoing.once('close', () => disconnected.abort());
  const { answer, read } = await calls.ask({
    command,
    userId: ticket.sub,
    subject: subjectOf(ticket),
    containerId,
    incarnation: container.incarnation,
    credential: ticket.credential ?? `ticket:${ticket.jti}`,
    input,
    keyHash,
    signal: disconnected.signal,
  });
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
    'X-Incarnation': `${container.incarnation}`,
    ...(replayed ? { 'Idempotent-Replayed': 'true' } : {}),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
  };
  if (notModified) return c.body(null, 304, head);
  return c.body(view, 200, { ...head, 'Content-Type': type });
}

/** @throws ApiError `bad_request` */
function inputOf({ input }: CallCommand, uncheckedInput: unknown): object {
  const { data, error } = input.safeParse(uncheckedInput);
  if (!error) return data;
  const issues = error.issues.slice(0, 20).map(({ path, message }) => ({ path: path.join('.'), message }));
  const text = issues.map(({ path, message }) => `${path}: ${message}`).join('; ');
  throw new ApiError('bad_request', `Correct the input: ${text}`, { issues });
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
