import { z } from 'zod';
import { parseJson } from '../runtime/json.ts';
import { iso } from '../runtime/times.ts';
import { Labels } from './labels.ts';
import { JOB_KINDS, type JobKind } from './registry.ts';

export { JOB_KINDS, type JobKind };

export const JOB_STATES = [
  'queued',
  'delayed',
  'active',
  'completed',
  'failed',
  'cancelled',
  'timed_out',
] as const;
export type JobState = (typeof JOB_STATES)[number];

/** States that a run never leaves. */
export const TERMINAL_JOB_STATES = ['completed', 'failed', 'cancelled', 'timed_out'] as const;
export type TerminalJobState = (typeof TERMINAL_JOB_STATES)[number];
/** Terminal states from which a job may be retried. */
export const UNSUCCESSFUL_JOB_STATES = TERMINAL_JOB_STATES.filter((state) => state !== 'completed');
export const isTerminal = (state: JobState): state is TerminalJobState =>
  (TERMINAL_JOB_STATES as readonly string[]).includes(state);

export const JobError = z
  .object({
    code: z.string().describe('Stable code of the failure.'),
    message: z.string().describe('The next step.'),
    retryable: z.boolean().describe('Whether another run may succeed without a change.'),
  })
  .meta({ id: 'JobError' });
export type JobError = z.infer<typeof JobError>;

/** What a start lacks while it waits: a resource, an image, or a host that takes new containers. */
export const WAIT_REASONS = ['memory', 'cpus', 'disk', 'gpus', 'containers', 'image', 'draining'] as const;
export type WaitReason = (typeof WAIT_REASONS)[number];

export const Waiting = z
  .object({
    reason: z.enum(WAIT_REASONS).describe('What no host has for it now.'),
    position: z.number().int().min(1).describe('Its place among all starts that wait, counted from 1.'),
  })
  .meta({ id: 'Waiting' });
export type Waiting = z.infer<typeof Waiting>;

/** A job as its owner sees it. Times are ISO 8601 in UTC. */
export const Job = z
  .object({
    id: z.string().describe('Id of the job.'),
    kind: z.enum(JOB_KINDS).describe('The command that it runs.'),
    state: z.enum(JOB_STATES).describe('State of its latest run.'),
    progress: z.number().int().min(0).max(100).describe('Percent.'),
    run: z.number().int().min(1).describe('The latest run, counted from 1.'),
    attemptsMade: z.number().int().min(0).describe('Attempts of the latest run.'),
    result: z.unknown().optional().describe('The result of a completed run, by its kind.'),
    error: JobError.optional().describe('Why the latest run did not complete.'),
    createdAt: z.iso.datetime().describe('When it was submitted, in UTC.'),
    startedAt: z.iso.datetime().optional().describe('When the latest run was taken, in UTC.'),
    finishedAt: z.iso.datetime().optional().describe('When the latest run ended, in UTC.'),
    containerId: z.string().optional().describe('The container that it is about.'),
    labels: Labels.optional().describe('The labels that its request gave.'),
    waiting: Waiting.optional().describe('Why a start waits for a host, while it does.'),
  })
  .meta({ id: 'Job' });
export type Job = z.infer<typeof Job>;

/**
 * Reads a job, as its owner sees it, from its Redis hash.
 * @returns `undefined` when there is no such record
 */
export function jobFromRecord(record: Record<string, string>): Job | undefined {
  if (!record.id) return undefined;
  return {
    id: record.id,
    kind: record.kind as JobKind,
    state: record.state as JobState,
    progress: Number(record.progress ?? 0),
    run: Number(record.run ?? 1),
    attemptsMade: Number(record.attemptsMade ?? 0),
    ...(record.result ? { result: parseJson(z.unknown(), record.result) } : {}),
    ...(record.error ? { error: parseJson(JobError, record.error) } : {}),
    createdAt: iso(record.createdAt),
    ...(record.startedAt ? { startedAt: iso(record.startedAt) } : {}),
    ...(record.finishedAt ? { finishedAt: iso(record.finishedAt) } : {}),
    ...(record.containerId ? { containerId: record.containerId } : {}),
    ...(record.labels ? { labels: parseJson(Labels, record.labels) } : {}),
    // The record keeps it until the run is taken, or ends.
    ...(record.waiting && record.state === 'queued' ? { waiting: parseJson(Waiting, record.waiting) } : {}),
  };
}
