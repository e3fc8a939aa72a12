import { ApiError } from '@warmwind/shared/contract/errors';
import type { Context } from 'hono';
import type { AppEnv } from '../env.ts';
import { unavailable } from '../http/errors.ts';
import { failureOf } from '../http/failure.ts';
import { log } from '../http/log.ts';

/** Waits for the relay. What it refuses is refused; that it can't be reached, or is no help, is `unavailable`. */
export async function askRelay<T>(c: Context<AppEnv>, asked: Promise<T>, message: string): Promise<T> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof ApiError) throw error;
    log.warn('the relay was no help', { requestId: c.get('requestId'), ...failureOf(error) });
    throw unavailable(message);
  }
}
