import { isRecordFault } from '@warmwind/shared/engine/node/record-fault';
import type { Skip } from './skip.ts';

/**
 * Runs `work` on every item, `atOnce` at a time; the first error ends it.
 * @param skip receives each item whose own data is at fault (see `isRecordFault`); the other items continue
 */
export async function each<T>(
  items: T[],
  atOnce: number,
  work: (item: T) => Promise<void>,
  skip?: Skip<T>,
): Promise<void> {
  const remaining = items.values();
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (const item of remaining) await (skip ? skipFaulty(item, work, skip) : work(item));
    }),
  );
}

/**
 * Runs `work` on one item, and passes a fault of its data to `skip`.
 * @throws every other error
 */
export async function skipFaulty<T>(item: T, work: (item: T) => Promise<void>, skip: Skip<T>): Promise<void> {
  try {
    await work(item);
  } catch (error) {
    if (!isRecordFault(error)) throw error;
    skip(error, item);
  }
}
