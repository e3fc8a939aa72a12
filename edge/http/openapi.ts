import { z } from '@hono/zod-openapi';
import { ERROR_STATUS, type ErrorBody, type ErrorCode } from '@warmwind/shared/contract/errors';
import { failed } from '../docs/examples.ts';

/** The body of every failed answer, for the document. */
const FailedAnswer = z
  .object({
    statusCode: z.number().int().describe('The HTTP status.'),
    code: z.enum(Object.keys(ERROR_STATUS) as ErrorCode[]).describe('Stable; later versions add codes.'),
    message: z.string().describe('The cause, and what to do next.'),
    requestId: z.string().describe('Names this request in our logs.'),
    issues: z
      .array(
        z.object({
          path: z.string().describe('Where: `width`, `messages.0.role`.'),
          message: z.string().describe('The value that is expected.'),
        }),
      )
      .optional()
      .describe('Each thing that is wrong with the request.'),
    retryAfterMs: z.number().int().optional().describe('Milliseconds after which the request may succeed.'),
    limit: z.number().int().optional().describe('The quota.'),
    used: z.number().int().optional().describe('How much of it is used.'),
  } satisfies Record<keyof ErrorBody, z.ZodType>)
  .openapi('Error');

const FAILURES = {
  400: 'The request is not valid: see issues.',
  401: 'No valid token.',
  403: 'It is not permitted: see message.',
  404: 'There is no such thing, or it is not yours.',
  408: 'The body did not arrive in time: send it again.',
  409: 'It conflicts with what is: see message.',
  413: 'The body is too large.',
  415: 'The body is not application/json.',
  429: 'Over a rate limit or a quota: see retryAfterMs, limit and used.',
  500: 'Something went wrong on our side.',
  503: 'A store or service that this needs is unavailable: retry.',
  504: 'A service that this needs did not answer in time: retry.',
  507: 'The home of the desktop is full: delete files.',
} as const;
type Failure = keyof typeof FAILURES;

export const header = (description: string) => ({ description, schema: { type: 'string' as const } });
const RETRY_AFTER = { 'Retry-After': header('Seconds to wait before the next try.') };
/** The headers of each status; `docs/document.ts` adds those of all answers. */
const HEADERS: Partial<Record<Failure, Record<string, ReturnType<typeof header>>>> = {
  401: { 'WWW-Authenticate': header('`Bearer`, and what is wrong with the token that was sent.') },
  429: RETRY_AFTER,
  503: RETRY_AFTER,
};

const failureRow = (status: Failure) => ({
  description: FAILURES[status],
  headers: { ...HEADERS[status] },
  content: { 'application/json': { schema: FailedAnswer, example: failed(status) as object } },
});

/** Describes the failed answers of a route; every route has `internal`. */
export const failures = <S extends Failure>(
  ...statuses: S[]
): Record<S | 500, ReturnType<typeof failureRow>> =>
  Object.fromEntries([...statuses, 500 as const].map((status) => [status, failureRow(status)])) as Record<
    S | 500,
    ReturnType<typeof failureRow>
  >;

/** Describes a JSON body of a request or an answer, with an example. */
export const json = <T extends z.ZodType>(schema: T, description: string, example: z.input<T>) => ({
  description,
  content: { 'application/json': { schema, example: example as object } },
});

/** Routes behind `authenticate`. */
export const security = [{ bearer: [] }];

/** An id in a path. An id that can't exist is `not_found`, not `bad_request`. */
export const IdParam = z.object({ id: z.string().openapi({ param: { name: 'id', in: 'path' } }) });
