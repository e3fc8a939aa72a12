import type { z } from 'zod';
import type { CallCommand, JobCommand } from './command.ts';
import { containerAbortCall } from './commands/container-abort-call.ts';
import { containerActions } from './commands/container-actions.ts';
import { containerEndProcess } from './commands/container-end-process.ts';
import { containerExec } from './commands/container-exec.ts';
import { containerExtend } from './commands/container-extend.ts';
import { containerMetrics } from './commands/container-metrics.ts';
import { containerPause } from './commands/container-pause.ts';
import { containerProcesses } from './commands/container-processes.ts';
import { containerReadClipboard } from './commands/container-read-clipboard.ts';
import { containerResume } from './commands/container-resume.ts';
import { containerScreenshot } from './commands/container-screenshot.ts';
import { containerStart } from './commands/container-start.ts';
import { containerStop } from './commands/container-stop.ts';
import { containerWriteClipboard } from './commands/container-write-clipboard.ts';
import { inference } from './commands/inference.ts';

/**
 * Every command that a container's host answers at once. A new one is its definition, a line here, and a
 * handler.
 */
const CALLS = [
  containerActions,
  containerScreenshot,
  containerAbortCall,
  containerProcesses,
  containerEndProcess,
  containerMetrics,
  containerReadClipboard,
  containerWriteClipboard,
  containerExtend,
] as const;

type RegisteredCall = (typeof CALLS)[number];
export type CallKind = RegisteredCall['kind'];
/** The definition of a kind of call, with its own types. */
export type CallDefinition<K extends CallKind> = Extract<RegisteredCall, { kind: K }>;

export const CALL_COMMANDS: readonly CallCommand<CallKind>[] = CALLS;

/**
 * Every command that becomes a job. A new one is its definition, a line here, and a handler in the workers.
 */
const JOBS = [
  containerStart,
  containerStop,
  containerPause,
  containerResume,
  containerExec,
  inference,
] as const;

type Registered = (typeof JOBS)[number];
export type JobKind = Registered['kind'];
/** The definition of a kind of job, with its own types. */
export type JobDefinition<K extends JobKind> = Extract<Registered, { kind: K }>;
/** The result of a job by its kind. */
export type JobResults = { [C in Registered as C['kind']]: z.output<C['result']> };

export const JOB_KINDS = JOBS.map(({ kind }) => kind) as [JobKind, ...JobKind[]];
export const JOB_COMMANDS: readonly JobCommand<JobKind>[] = JOBS;

const byKind = new Map<string, JobCommand<JobKind>>(JOB_COMMANDS.map((command) => [command.kind, command]));

/** The definition of a kind of job, `undefined` for one that this version does not know. */
export const findJobCommand = (kind: string): JobCommand<JobKind> | undefined => byKind.get(kind);

/**
 * The definition of a kind of job.
 * @throws Error for a kind that this version does not know
 */
export function jobCommand(kind: string): JobCommand<JobKind> {
  const command = byKind.get(kind);
  if (!command) throw new Error(`no command is of kind ${JSON.stringify(kind)}`);
  return command;
}

/** The kinds whose jobs end the container that they are about. */
export const ENDING_KINDS: JobKind[] = JOB_COMMANDS.filter(({ enters }) => enters === 'stopping').map(
  ({ kind }) => kind,
);

/** Does a job of this kind create containers? */
export const createsContainers = (kind: string): boolean => byKind.get(kind)?.container === 'creates';
