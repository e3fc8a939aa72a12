import type { Redis } from '@upstash/redis/cloudflare';
import { unavailable } from '../http/errors.ts';
import { failureOf } from '../http/failure.ts';
import { log } from '../http/log.ts';

/** Turns a Redis hash, received as a flat list, into an object. */
export function toRecord(flat: string[]): Record<string, string> {
  const record: Record<string, string> = {};
  for (let i = 0; i + 1 < flat.length; i += 2) record[flat[i] ?? ''] = flat[i + 1] ?? '';
  return record;
}

/** Reads all fields of one record in one trip; empty when there is no record. */
export const readRecord = async (redis: Redis, key: string): Promise<Record<string, string>> =>
  toRecord(await orUnavailable(redis.exec<string[]>(['HGETALL', key])));

/**
 * Awaits an answer of Redis that a request requires.
 * @throws ApiError `unavailable` (503) when Redis fails
 */
export async function orUnavailable<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    log.warn('redis did not answer', failureOf(error));
    throw unavailable('The state of jobs and desktops can not be read now: retry.');
  }
}
