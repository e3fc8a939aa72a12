import { ApiError } from '@warmwind/shared/contract/errors';
import { truncateText } from '@warmwind/shared/runtime/text';
import type { Context } from 'hono';
import { HTTPException } from 'hono/http-exception';
import type { z } from 'zod';
import type { AppEnv } from '../env.ts';
import { AbortedBodyError } from './body.ts';
import { badRequest } from './errors.ts';
import { log } from './log.ts';

/** Answers an error, as a flat body by default, with the headers that belong to its status. */
export function errorResponse(
  error: unknown,
  c: Context<AppEnv>,
  body: (error: ApiError) => object = (known) => known.body(c.get('requestId')),
): Response {
  const known = toApiError(error, c);
  const { retryAfterMs } = known.details;
  if (retryAfterMs !== undefined) c.header('Retry-After', `${Math.max(1, Math.ceil(retryAfterMs / 1000))}`);
  if (known.code === 'unauthenticated') c.header('WWW-Authenticate', challenge(c));
  return c.json(body(known), known.status);
}

const challenge = (c: Context<AppEnv>): string =>
  c.req.header('Authorization')
    ? 'Bearer realm="warmwind", error="invalid_token"'
    : 'Bearer realm="warmwind"';

/** Turns any error into one that the caller may see, and logs an unexpected one. */
export function toApiError(error: unknown, c: Context<AppEnv>): ApiError {
  if (error instanceof ApiError) return error;
  // The validator throws this for a body that is not JSON.
  if (error instanceof HTTPException && error.status === 400) {
    return badRequest([{ path: '', message: 'the body is not valid JSON' }]);
  }
  if (error instanceof AbortedBodyError) {
    log.info('a client broke off its request', { requestId: c.get('requestId') });
    return badRequest([{ path: '', message: 'the body ended too early' }]);
  }
  log.error('unexpected error', {
    requestId: c.get('requestId'),
    path: truncateText(c.req.path, 200),
    error: error instanceof Error ? `${error.name}: ${truncateText(error.message, 200)}` : typeof error,
    stack:
      error instanceof Error
        ? error.stack
            ?.match(/^ +at .*$/gm)
            ?.slice(0, 10)
            .join('\n')
        : undefined,
  });
  return new ApiError(
    'internal',
    'Something went wrong on our side. Retry; if it stays, report the request id.',
  );
}

/** Turns the issues of zod into `bad_request` with the path of each issue (at most 20). */
export function onInvalid(result: { success: boolean; error?: z.core.$ZodError }): undefined {
  if (result.success) return;
  const issues = result.error?.issues.slice(0, 20).flatMap((issue) => {
    const path = issue.path.map(String);
    if (issue.code !== 'unrecognized_keys') return [{ path: path.join('.'), message: issue.message }];
    return issue.keys
      .slice(0, 20)
      .map((key) => ({ path: [...path, truncateText(key, 64)].join('.'), message: issue.message }));
  });
  throw badRequest(issues);
}
