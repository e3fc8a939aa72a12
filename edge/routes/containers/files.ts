import { createRoute, z } from '@hono/zod-openapi';
import { checkState, goneIncarnation } from '@warmwind/shared/contract/call-refusal';
import { readIncarnation } from '@warmwind/shared/contract/envelope';
import { ApiError } from '@warmwind/shared/contract/errors';
import { DirectoryListing, FILE_QUERY, MAX_FILE_BYTES, readFilePath } from '@warmwind/shared/contract/files';
import { containerFile } from '@warmwind/shared/contract/sessions/container-file';
import type { Context } from 'hono';
import { credentialOf } from '../../auth/credential.ts';
import { LISTING } from '../../docs/examples.ts';
import type { App, AppEnv } from '../../env.ts';
import { onInvalid } from '../../http/error-response.ts';
import { notFound } from '../../http/errors.ts';
import { failures, header, IdParam, json, security } from '../../http/openapi.ts';
import { noQuery, queryOf } from '../../http/query.ts';
import { limited } from '../../limits/charge.ts';
import { askRelay } from '../../realtime/ask.ts';
import type { RelayFile } from '../../realtime/relay.ts';
import { findContainer } from '../../records/find-container.ts';
import type { Services } from '../../services.ts';

const PATH = '/containers/{id}/files/{path}';
/** Names may have slashes between them, and line breaks in them. */
const ROUTING_PATH = '/containers/:id/files/:path{[\\s\\S]*}';

const PathParam = IdParam.extend({
  path: z.string().openapi({
    param: { name: 'path', in: 'path' },
    description:
      'Names below the home, separated by slashes, which stay slashes. Each name is percent-encoded as UTF-8; it may have any character but the slash and the null character, and is not `.` or `..`. Empty for the home itself.',
    example: 'report.txt',
  }),
});
const Headers = z.object({
  'if-match': z
    .string()
    .refine((text) => readIncarnation(text) !== undefined, 'send an incarnation in quotes, such as "1"')
    .optional()
    .describe(
      '`"<incarnation>"`: only for this incarnation of the desktop; for another one the answer is 409.',
    ),
});
const ReadQuery = queryOf(FILE_QUERY);
const WriteQuery = queryOf({ archive: FILE_QUERY.archive });
const Bytes = z.string().openapi({ format: 'binary' });
const binary = { schema: Bytes };
const ANSWER_HEADERS = {
  'X-File-Type': header('`file`, `directory` (a listing) or `archive`.'),
  'X-Incarnation': header('The incarnation of the desktop that answered.'),
};

const common = { path: PATH, security } as const;
const failed = failures(400, 401, 404, 409, 413, 429, 503, 504);

const READ = {
  ...common,
  method: 'get',
  operationId: 'readFile',
  summary: 'A file or folder of a desktop',
  description:
    'A file below the home, at most 64 MB; a folder as a list of its entries, or with `archive=tar` with all that is in it. Links are followed while they stay below the home.',
  request: { params: PathParam, headers: Headers, query: ReadQuery },
  responses: {
    200: {
      description: 'The content of the file, or what the folder has.',
      headers: ANSWER_HEADERS,
      content: {
        'application/octet-stream': binary,
        'application/x-tar': binary,
        ...json(DirectoryListing, '', LISTING).content,
      },
    },
    ...failed,
  },
} as const;

const written = (description: string) => ({
  204: { description, headers: { 'X-Incarnation': ANSWER_HEADERS['X-Incarnation'] } },
});

const WRITE = {
  ...common,
  method: 'put',
  operationId: 'writeFile',
  summary: 'Write a file of a desktop',
  description:
    'Replaces the file at once when the body is complete, at most 64 MB; folders of the path are created. A link is replaced, not followed. With `archive=tar` the body is a tar archive, whose members are added to the folder, all or none of them; members that lead out of the folder, devices and set-id files are refused.',
  request: {
    params: PathParam,
    headers: Headers,
    query: WriteQuery,
    body: {
      description: 'The content.',
      content: { 'application/octet-stream': binary, 'application/x-tar': binary },
    },
  },
  responses: { ...written('The file is written.'), ...failed, ...failures(408, 507) },
} as const;

const DELETE = {
  ...common,
  method: 'delete',
  operationId: 'deleteFile',
  summary: 'Delete a file or folder of a desktop',
  description: 'A folder is deleted with all that is in it. A link is deleted, not followed.',
  request: { params: PathParam, headers: Headers },
  responses: { ...written('It is deleted.'), ...failed },
} as const;

/** Adds the routes of files: `GET`, `PUT` and `DELETE /containers/:id/files/:path`. */
export function fileRoutes(app: App, services: Services): void {
  const charged = limited(services.limiter, 'open', ['containers.files']);
  const serve = (c: Context<AppEnv>, query: z.ZodType) => transfer(c, services, query);
  for (const route of [READ, WRITE, DELETE]) app.openAPIRegistry.registerPath(createRoute(route));
  app.get(ROUTING_PATH, charged, (c) => serve(c, ReadQuery));
  app.put(ROUTING_PATH, charged, (c) => serve(c, WriteQuery));
  app.delete(ROUTING_PATH, charged, noQuery, (c) => serve(c, z.unknown()));
}

async function transfer(c: Context<AppEnv>, services: Services, query: z.ZodType): Promise<Response> {
  const method = c.req.method as RelayFile['method'];
  const { pathname, search } = new URL(c.req.url);
  onInvalid(query.safeParse(c.req.query()));
  const pinned = Headers.safeParse({ 'if-match': c.req.header('If-Match') });
  onInvalid(pinned);
  readFilePath(pathname);
  const isWrite = method === 'PUT';
  if (isWrite && Number(c.req.header('Content-Length') ?? 0) > MAX_FILE_BYTES) {
    throw new ApiError('payload_too_large', 'The body is larger than 64 MB: send less.');
  }
  const container = await findContainer(c, services, c.req.param('id') ?? '');
  if (!container) throw notFound('desktop');
  const incarnation = readIncarnation(pinned.data?.['if-match'] ?? '') ?? container.incarnation;
  if (incarnation !== container.incarnation) throw goneIncarnation();
  checkState(containerFile.requires, container);
  const path = pathname + search;
  const credential = await credentialOf(c);
  const body = isWrite ? { body: c.req.raw.body } : {};
  const asked = services.relay.file(c.get('user').id, { method, path, incarnation, credential, ...body });
  const answer = await askRelay(c, asked, 'The desktop can not be reached now: retry.');
  for (const name of [...FILE_HEADERS, 'Content-Type', 'Content-Length', 'Last-Modified']) {
    const value = answer.headers.get(name);
    if (value !== null) c.header(name, value);
  }
  if (isWrite || method === 'DELETE') return c.body(null, 204);
  return c.body(answer.body ?? '', 200);
}

/** The headers of the answers, for pages of other origins. */
export const FILE_HEADERS: readonly string[] = Object.keys(ANSWER_HEADERS);
