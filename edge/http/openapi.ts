import { z } from '@hono/zod-openapi';
import { ERROR_STATUS, type ErrorBody, type ErrorCode } from '@warmwind/shared/errors';

/** The body of every failed answer, for the document. */
const FailedAnswer = z
  .object({
    statusCode: z.number().int(),
    code: z.enum(Object.keys(ERROR_STATUS) as ErrorCode[]),
    message: z.string().describe('What to do next.'),
    requestId: z.string(),
    issues: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
    retryAfterMs: z.number().int().optional(),
    limit: z.number().int().optional(),
    used: z.number().int().optional(),
  } satisfies Record<keyof ErrorBody, z.ZodType>)
  .openapi('Error');

const FAILURES = {
  400: 'The request is not valid: see issues.',
  401: 'No valid token.',
  404: 'There is no such thing, or it is not yours.',
  409: 'It conflicts with what is: see message.',
  413: 'The body is too large.',
  415: 'The body is not application/json.',
  429: 'Over a rate limit or a quota: see retryAfterMs, limit and used.',
  500: 'Something went wrong on our side.',
  503: 'What this needs does not answer now: retry.',
  504: 'What this needs did not answer in time: retry.',
} as const;
type Failure = keyof typeof FAILURES;

const header = (description: string) => ({ description, schema: { type: 'string' as const } });
const REQUEST_ID = { 'X-Request-Id': header('Names this request in our logs.') };
const RETRY_AFTER = { 'Retry-After': header('Seconds to wait before the next try.') };

const failureRow = (status: Failure) => ({
  description: FAILURES[status],
  headers: { ...REQUEST_ID, ...(status === 429 || status === 503 ? RETRY_AFTER : {}) },
  content: { 'application/json': { schema: FailedAnswer } },
});

/** The error rows of a route; `internal` is one of every route's. */
export const failures = <S extends Failure>(
  ...statuses: S[]
): Record<S | 500, ReturnType<typeof failureRow>> =>
  Object.fromEntries([...statuses, 500 as const].map((status) => [status, failureRow(status)])) as Record<
    S | 500,
    ReturnType<typeof failureRow>
  >;

/** A JSON body, of a request or an answer. */
export const json = <T extends z.ZodType>(schema: T, description: string) => ({
  description,
  content: { 'application/json': { schema } },
});

/** Routes behind `authenticate`. */
export const security = [{ bearer: [] }];

/** What stands for an id in a path: one that can't exist is `not_found`, not `bad_request`. */
export const IdParam = z.object({ id: z.string().openapi({ param: { name: 'id', in: 'path' } }) });
