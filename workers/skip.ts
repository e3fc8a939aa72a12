import type { Logger } from '@warmwind/shared/runtime/node/log';
import type { Metrics } from './metrics.ts';

/** Receives the error of a record that cannot be read, and the fields that identify the record. */
export type Skip<T = object> = (error: unknown, record: T) => void;

/** Creates a `Skip` that logs and counts the records which `part` of the worker cannot read. */
export const createSkip =
  (log: Logger, part: string, metrics?: Pick<Metrics, 'recordsSkipped'>): Skip =>
  (err, record) => {
    const { userId, containerId, jobId, id, host, key } = record as Record<string, unknown>;
    metrics?.recordsSkipped.inc({ part });
    log.error({ err, part, userId, containerId, jobId, id, host, key }, 'a record cannot be read: skipped');
  };
