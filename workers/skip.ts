import type { Logger } from '@warmwind/shared/runtime/node/log';
import type { Metrics } from './metrics.ts';

/** Takes the error of a record that can't be read, and what names the record. */
export type Skip<T = object> = (error: unknown, record: T) => void;

/** Logs and counts records that `part` of the worker can't read: one of them never stops the others. */
export const createSkip =
  (log: Logger, part: string, metrics?: Pick<Metrics, 'recordsSkipped'>): Skip =>
  (err, record) => {
    const { userId, containerId, jobId, id, host, key } = record as Record<string, unknown>;
    metrics?.recordsSkipped.inc({ part });
    log.error({ err, part, userId, containerId, jobId, id, host, key }, 'a record can not be read: skipped');
  };
