import { isId } from '@warmwind/shared/contract/ids';

/** The id of the process of a run. Each run has its own. */
export const processIdOf = (jobId: string, run: number): string => (run === 1 ? jobId : `${jobId}_${run}`);

/** Parses it. @returns `undefined` for the id of a process that no job started */
export function runOfProcess(processId: string): { jobId: string; run: number } | undefined {
  const [, jobId = '', run = '1'] = /^([^_]+)(?:_(\d{1,9}))?$/.exec(processId) ?? [];
  return isId(jobId) ? { jobId, run: Number(run) } : undefined;
}
