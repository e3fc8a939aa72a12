import { ApiError } from '@warmwind/shared/contract/errors';
import type { Context } from 'hono';
import type { AppEnv } from '../env.ts';
import { unavailable } from '../http/errors.ts';
import { failureOf } from '../http/failure.ts';
import { log } from '../http/log.ts';

/**
 * Awaits an answer of the relay. Its refusals are thrown as they are.
 * @throws ApiError `unavailable` when the relay can't be reached, or fails
 */
export async function askRelay<T>(c: Context<AppEnv>, asked: Promise<T>, message: string): Promise<T> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof ApiError) throw error;
    log.warn('the relay failed', { requestId: c.get('requestId'), ...failureOf(error) });
    throw unavailable(message);
  }
}
