import { readIncarnation } from '@warmwind/shared/contract/envelope';
import { ApiError } from '@warmwind/shared/contract/errors';
import { FILE_QUERY, MAX_FILE_BYTES, MEDIA_TYPES, readFilePath } from '@warmwind/shared/contract/files';
import { containerFile } from '@warmwind/shared/contract/sessions/container-file';
import type { Context } from 'hono';
import { z } from 'zod';
import type { OpenAnswers } from '../http/hold.ts';
import type { Http, HttpEnv } from '../http/http.ts';
import type { RecordSources } from '../rooms/records.ts';
import { transferFile } from '../sessions/file-transfer.ts';
import { NodeSession } from '../sessions/node-session.ts';
import { prepareOpening } from '../sessions/opening.ts';
import type { Sessions } from '../sessions/sessions.ts';
import type { Rates } from '../shares.ts';

export type FilesContext = {
  recordSources: RecordSources;
  answers: OpenAnswers;
  sessions: Sessions;
  lookups: Rates;
};

const Query = z.strictObject(FILE_QUERY);
const OPERATIONS = { GET: 'read', HEAD: 'read', PUT: 'write', DELETE: 'delete' } as const;
const METHODS = ['GET', 'PUT', 'DELETE'];

/** Serves `GET`, `PUT` and `DELETE /containers/:id/files/:path`: files below the home, in a session each. */
export function fileRoutes(http: Http, context: FilesContext): void {
  // Names may have line breaks.
  http.on(METHODS, '/containers/:id/files/:path{[\\s\\S]*}', async (c) => {
    const { method } = c.req;
    const { session, incarnation } = await open(c, context);
    const isWrite = method === 'PUT';
    const { head, content } = await transferFile(session, isWrite ? c.req.raw.body : null);
    const headers = { 'Cache-Control': 'no-store', 'X-Incarnation': `${incarnation}` };
    if (isWrite || method === 'DELETE') return c.body(null, 204, headers);
    if (method === 'HEAD') session.abort();
    const { type = 'file', size, modifiedAt } = head;
    const answered = {
      ...headers,
      'Content-Type': MEDIA_TYPES[type],
      'X-Content-Type-Options': 'nosniff',
      'X-File-Type': type,
      ...(size === undefined ? {} : { 'Content-Length': `${size}` }),
      ...(modifiedAt === undefined ? {} : { 'Last-Modified': modifiedAt }),
    };
    if (method === 'HEAD') return c.body(null, 200, answered);
    return c.body(content as ReadableStream<Uint8Array<ArrayBuffer>>, 200, answered);
  });
}

/** Opens the session of a request. It ends with its client, its ticket, and a node that drains. */
async function open(
  c: Context<HttpEnv>,
  context: FilesContext,
): Promise<{ session: NodeSession; incarnation: number }> {
  const { ticket } = c.var;
  const id = c.req.param('id') ?? '';
  if (ticket.containerId !== undefined) {
    throw new ApiError('not_found', 'A share link does not open this address. Use a ticket of the owner.');
  }
  const request = { kind: containerFile.kind, containerId: id, ...required(c), input: inputOf(c) };
  const opening = await prepareOpening(context, ticket, request);
  const ends = new AbortController();
  context.answers.hold(c, () => ends.abort());
  const session = await NodeSession.open(context.sessions, opening);
  const end = () => session.abort();
  ends.signal.addEventListener('abort', end, { once: true });
  c.env.outgoing.once('close', end);
  if (ends.signal.aborted || c.env.outgoing.closed) end();
  return { session, incarnation: opening.head.envelope.incarnation };
}

/** @throws ApiError `bad_request` or `payload_too_large` */
function inputOf(c: Context<HttpEnv>): z.output<typeof containerFile.input> {
  const operation = OPERATIONS[c.req.method as keyof typeof OPERATIONS];
  const path = readFilePath(new URL(c.req.url).pathname);
  const query = Query.safeParse(c.req.query());
  if (!query.success) throw new ApiError('bad_request', 'Correct the query: archive=tar, after, limit.');
  const length = c.req.header('Content-Length');
  const bytes = operation === 'write' && length !== undefined ? { bytes: Number(length) } : {};
  if (bytes.bytes !== undefined && bytes.bytes > MAX_FILE_BYTES) {
    throw new ApiError('payload_too_large', 'The body is larger than 64 MB: send less.');
  }
  return { operation, path, ...query.data, ...bytes };
}

function required(c: Context<HttpEnv>): { incarnation?: number } {
  const header = c.req.header('If-Match');
  if (header === undefined) return {};
  const incarnation = readIncarnation(header);
  if (incarnation !== undefined) return { incarnation };
  throw new ApiError('bad_request', 'Send an incarnation in quotes: If-Match: "1".', {
    issues: [{ path: 'if-match', message: 'an incarnation in quotes' }],
  });
}
