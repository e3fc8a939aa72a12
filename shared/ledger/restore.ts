import { hasEnded } from '../containers.ts';
import { isTerminal } from '../jobs.ts';
import { keys } from '../keys.ts';
import { ENDED_RECORD_TTL_MS, OPEN_RECORD_TTL_MS, OUTSTANDING_MS } from '../records.ts';
import { type ContainerRow, containerRecord, type Fields, type JobRow, jobRecord } from './rows.ts';

/** KEYS and ARGV of `restoreScript`. */
export type Restore = { keys: string[]; args: string[] };

/** `below`: whatever Redis knows is overwritten. */
export const WHATEVER = Number.MAX_SAFE_INTEGER;

/**
 * A job's row → its record in Redis again, unless Redis knows as much.
 * @param below a record with a fence below this one is overwritten
 */
export const restoreJob = (row: JobRow, now: number, below = row.fence): Restore => ({
  keys: [keys.job(row.userId, row.id), keys.jobs(row.userId), keys.openJobs(row.userId)],
  args: args(row, below, isTerminal(row.state), jobRecord(row), now),
});

/**
 * A desktop's row → its record in Redis again, unless Redis knows as much.
 * @param below a record with a fence below this one is overwritten
 */
export const restoreContainer = (row: ContainerRow, now: number, below = row.fence): Restore => ({
  keys: [keys.container(row.userId, row.id), keys.containers(row.userId), keys.openContainers(row.userId)],
  args: args(row, below, hasEnded(row.state), containerRecord(row), now),
});

const args = (
  { id, createdAt }: { id: string; createdAt: Date },
  below: number,
  ended: boolean,
  record: Fields,
  now: number,
): string[] => [
  id,
  `${createdAt.getTime()}`,
  `${below}`,
  `${ended ? ENDED_RECORD_TTL_MS : OPEN_RECORD_TTL_MS}`,
  ended ? '' : `${now + OUTSTANDING_MS}`,
  ...Object.entries(record).flat(),
];
