import type { JobState } from '@warmwind/shared/contract/jobs';

/** Notes a violation of an invariant by a subject, such as a job. */
export type Violate = (invariant: string, subject: string, detail: string) => unknown;

/** A row of the ledger's table of jobs. */
export type JobRow = {
  id: string;
  user_id: string;
  kind: string;
  state: JobState;
  run: number;
  error: { code?: string } | null;
};
/** A row of the ledger's table of ends. */
export type EndRow = { job_id: string; run: number; state: JobState; at: Date };
