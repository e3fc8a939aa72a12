import { ApiError } from '@warmwind/shared/contract/errors';
import { SupervisorError } from './error.ts';

/**
 * Rejects with the error that a caller may see.
 * @throws ApiError for an error of the supervisor, any other error as it is
 */
export function asApiError(error: unknown): never {
  if (!(error instanceof SupervisorError)) throw error;
  throw new ApiError(error.code === 'no_supervisor' ? 'conflict' : 'unavailable', error.message);
}
