import { createRoute, z } from '@hono/zod-openapi';
import { checkCall, outcomeUnknown } from '@warmwind/shared/contract/call-refusal';
import { type CallCommand, hasQuery, pathFields } from '@warmwind/shared/contract/command';
import { readIncarnation } from '@warmwind/shared/contract/envelope';
import { newId } from '@warmwind/shared/contract/ids';
import { CALL_COMMANDS } from '@warmwind/shared/contract/registry';
import type { Context } from 'hono';
import { credentialOf } from '../auth/credential.ts';
import type { App, AppEnv } from '../env.ts';
import { jsonBody } from '../http/body.ts';
import { notFound } from '../http/errors.ts';
import { unquote } from '../http/media-type.ts';
import { failures, header, IdParam, json, security } from '../http/openapi.ts';
import { noQuery, queryOf } from '../http/query.ts';
import { limited } from '../limits/charge.ts';
import { askRelay } from '../realtime/ask.ts';
import { findContainer } from '../records/find-container.ts';
import type { Services } from '../services.ts';
import { IdempotencyKey } from './submitting.ts';

const IfMatch = z
  .string()
  .refine((text) => readIncarnation(text) !== undefined, 'send an incarnation in quotes, such as "1"')
  .optional()
  .describe(
    '`"<incarnation>"`: only for this incarnation of the desktop; for another one the answer is 409.',
  );
const ReadHeaders = z.object({ 'if-match': IfMatch });
const ClaimHeaders = ReadHeaders.extend({
  'idempotency-key': IdempotencyKey.describe(
    'The same key and request is carried out once and answered the same. Kept for 5 minutes.',
  ),
});
const Bytes = z.string().openapi({ format: 'binary' });

/** Adds a route for every command that a container's host answers: `GET /containers/{id}/screenshot`, … */
export function callRoutes(
  app: App,
  services: Services,
  commands: readonly CallCommand[] = CALL_COMMANDS,
): void {
  for (const command of commands) callRoute(app, services, command);
}

function callRoute(app: App, services: Services, command: CallCommand): void {
  const { http, input, claims, limits } = command;
  const isQuery = hasQuery(http);
  const inPath = pathFields(http);
  const rest = inPath.length > 0 ? z.strictObject(without(input.shape, inPath)) : input;
  const charged = limited(services.limiter, claims ? 'closed' : 'open', limits);
  const route = createRoute({
    ...http,
    security,
    middleware: isQuery ? [charged] : [charged, noQuery, jsonBody],
    request: {
      params: paramsOf(inPath, input),
      headers: claims ? ClaimHeaders : ReadHeaders,
      ...(isQuery
        ? { query: queryOf(rest.shape) }
        : { body: json(rest, 'The parameters of the call.', without(command.example, inPath) as never) }),
    },
    responses: {
      200: answered(command),
      ...('json' in command.output || command.output.notModified === undefined
        ? {}
        : { 304: { description: command.output.notModified } }),
      ...failures(400, 401, 404, 409, 429, 503, 504),
      ...(isQuery ? {} : failures(408, 413, 415)),
    },
  });
  app.openapi(route, async (c: Context<AppEnv>) => {
    const id = c.req.param('id') ?? '';
    const headers = c.req.valid('header' as never) as z.output<typeof ClaimHeaders>;
    const container = await findContainer(c, services, id);
    if (!container) throw notFound('desktop');
    const pinned = headers['if-match'];
    checkCall(command, container, pinned === undefined ? undefined : readIncarnation(pinned));
    const given = headers['idempotency-key'];
    // Without a key the edge makes one: a proxy that repeats the request can not have it carried out twice.
    const key = command.claims ? unquote(given ?? newId()) : undefined;
    const asked = services.relay.call(c.get('user').id, {
      command,
      containerId: id,
      incarnation: container.incarnation,
      credential: await credentialOf(c),
      input: {
        ...(c.req.valid((isQuery ? 'query' : 'json') as never) as object),
        ...Object.fromEntries(inPath.map((field) => [field, c.req.param(field)])),
      },
      ...(key === undefined ? {} : { idempotencyKey: key }),
    });
    return passOn(c, command, await askRelay(c, asked, 'The desktop can not be reached now: retry.'));
  });
}

/** The parameters in the path of a call: the container's id, and fields of its input. */
const paramsOf = (fields: string[], { shape }: CallCommand['input']) =>
  IdParam.extend(Object.fromEntries(fields.map((field) => [field, shape[field] as z.ZodType])));

const without = <T>(of: Readonly<Record<string, T>>, fields: string[]): Record<string, T> =>
  Object.fromEntries(Object.entries(of).filter(([name]) => !fields.includes(name)));

/**
 * Passes on the relay's answer. The answer of a call with effects is buffered first: after a partial answer,
 * a client would repeat the call.
 */
async function passOn(c: Context<AppEnv>, command: CallCommand, answer: Response): Promise<Response> {
  for (const name of answerHeaders(command)) {
    const value = answer.headers.get(name);
    if (value !== null) c.header(name, value);
  }
  if (answer.status === 304) return c.body(null, 304);
  const type = answer.headers.get('Content-Type') ?? 'application/octet-stream';
  const body = command.claims
    ? await answer.arrayBuffer().catch((): never => {
        throw outcomeUnknown();
      })
    : answer.body;
  return c.body(body ?? '', 200, { 'Content-Type': type });
}

const INCARNATION = { 'X-Incarnation': 'The incarnation of the desktop that answered.' };
const REPLAYED = {
  'Idempotent-Replayed': '`true` when the key was used before: this is the answer of that request.',
};

const describedHeaders = ({ output, claims }: CallCommand): Record<string, string> => ({
  ...INCARNATION,
  ...(claims ? REPLAYED : {}),
  ...('json' in output ? {} : output.headers),
});
const answerHeaders = (command: CallCommand): string[] => Object.keys(describedHeaders(command));

/** The headers of calls' answers, for pages of other origins. */
export const CALL_HEADERS: readonly string[] = [...new Set(CALL_COMMANDS.flatMap(answerHeaders))];

/** The methods of calls. */
export const CALL_METHODS: readonly string[] = CALL_COMMANDS.map(({ http }) => http.method.toUpperCase());

function answered(command: CallCommand) {
  const { output } = command;
  const headers = Object.fromEntries(
    Object.entries(describedHeaders(command)).map(([name, text]) => [name, header(text)]),
  );
  if ('json' in output) return { ...json(output.json, output.description, output.example), headers };
  const content = Object.fromEntries(output.media.map((type) => [type, { schema: Bytes }]));
  return { description: output.description, content, headers };
}
