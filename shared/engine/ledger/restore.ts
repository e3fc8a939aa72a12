import { hasEnded } from '../../contract/containers.ts';
import { isTerminal } from '../../contract/jobs.ts';
import { keys } from '../keys.ts';
import { ENDED_RECORD_TTL_MS, OPEN_RECORD_TTL_MS, OUTSTANDING_MS } from '../records.ts';
import { type ContainerRow, containerRecord, type JobRow, jobRecord } from './rows.ts';

/** A call of `restoreRecord`. */
export type Restore = {
  of: { record: string; all: string; open: string };
  args: { id: string; createdAt: number; below: number; ttlMs: number; until: number | '' };
  /** Pairs of field and value. */
  fields: string[];
};

/** As `below`: any record in Redis is overwritten. */
export const WHATEVER = Number.MAX_SAFE_INTEGER;

/**
 * Restores a job's record in Redis from its row, unless Redis has one that is as new.
 * @param below a record with a fence below this one is overwritten
 */
export const restoreJob = (row: JobRow, now: number, below = row.fence): Restore => ({
  of: {
    record: keys.job(row.userId, row.id),
    all: keys.jobs(row.userId),
    open: keys.openJobs(row.userId),
  },
  args: args(row, below, isTerminal(row.state), now),
  fields: Object.entries(jobRecord(row)).flat(),
});

/**
 * Restores a desktop's record in Redis from its row, unless Redis has one that is as new.
 * @param below a record with a fence below this one is overwritten
 */
export const restoreContainer = (row: ContainerRow, now: number, below = row.fence): Restore => ({
  of: {
    record: keys.container(row.userId, row.id),
    all: keys.containers(row.userId),
    open: keys.openContainers(row.userId),
  },
  args: args(row, below, hasEnded(row.state), now),
  // The row has its last use as of its last change of state: it may have been used since.
  fields: Object.entries({ ...containerRecord(row), ...(row.usedAt ? { usedAt: `${now}` } : {}) }).flat(),
});

const args = (
  { id, createdAt }: { id: string; createdAt: Date },
  below: number,
  ended: boolean,
  now: number,
): Restore['args'] => ({
  id,
  createdAt: createdAt.getTime(),
  below,
  ttlMs: ended ? ENDED_RECORD_TTL_MS : OPEN_RECORD_TTL_MS,
  until: ended ? '' : now + OUTSTANDING_MS,
});
