import { ApiError, type ErrorDetails } from '@warmwind/shared/contract/errors';

/** An error for Redis, or a service in front of it, that did not answer in time. */
export const unavailable = (message: string): ApiError =>
  new ApiError('unavailable', message, { retryAfterMs: 1000 });

export const notFound = (what = 'resource'): ApiError =>
  new ApiError('not_found', `There is no such ${what}. See /docs for what there is.`);

/** @param near names of similar routes */
export const noSuchRoute = (near: string[]): ApiError => {
  if (near.length === 0) return notFound('route');
  return new ApiError(
    'not_found',
    `There is no such route. Use ${near.join(', ')}. See /docs for all routes.`,
  );
};

export const methodNotAllowedError = (allowed: string): ApiError =>
  new ApiError(
    'method_not_allowed',
    `This path has no such method: use ${allowed}. See /docs for what there is.`,
  );

export const badRequest = (issues: ErrorDetails['issues']): ApiError =>
  new ApiError('bad_request', 'The request is not valid: see issues.', { issues });
