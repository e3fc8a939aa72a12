import { z } from 'zod';
import { type JobKind, type JobState, Waiting } from '../../contract/jobs.ts';
import { parseJson } from '../../runtime/json.ts';

/** A job's latest run: its container ('' without one), and the fence of its last holder. */
export type RunStatus = {
  kind: JobKind;
  state: JobState;
  run: number;
  fence: number;
  containerId: string;
  /** All that it creates, when they are several. */
  containerIds?: string[];
  /** Why it waited for a host when it was requeued last. */
  waiting?: Waiting;
};

/** The fields of a job's record that make up its status. */
export const STATUS_FIELDS = [
  'state',
  'run',
  'fence',
  'containerId',
  'kind',
  'containerIds',
  'waiting',
] as const;

/**
 * Reads a status from those fields.
 * @returns `undefined` when there is no record
 */
export function statusFromRecord(fields: (string | null)[] | undefined): RunStatus | undefined {
  const [state, run, fence, containerId, kind, containerIds, waiting] = fields ?? [];
  if (!state) return undefined;
  return {
    kind: kind as JobKind,
    state: state as JobState,
    run: Number(run),
    fence: Number(fence),
    containerId: containerId ?? '',
    ...(containerIds ? { containerIds: parseJson(z.array(z.string()), containerIds) } : {}),
    ...(waiting ? { waiting: parseJson(Waiting, waiting) } : {}),
  };
}
