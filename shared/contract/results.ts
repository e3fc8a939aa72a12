import { z } from 'zod';
import { JobSubject, type StoredEvent } from './events.ts';
import { JOB_COMMANDS, type JobKind, type JobResults } from './registry.ts';

type CompletedData = Extract<StoredEvent, { type: 'job.completed' }>['data'];
/** The data of a completed job; its kind determines the type of its result. */
export type Completion = {
  [Kind in JobKind]: Omit<CompletedData, 'kind' | 'result'> & { kind: Kind; result: JobResults[Kind] };
}[JobKind];

/** Like `Completion`, of every command in the registry. */
export const Completion = z.union(
  JOB_COMMANDS.map(({ kind, result }) => JobSubject.extend({ kind: z.literal(kind), result })),
);

/**
 * Does the result match the schema of its kind in this version? Fields that a later version adds are
 * permitted.
 */
export const isCompletion = (data: CompletedData): data is Completion => Completion.safeParse(data).success;
