import type { z } from 'zod';
import type { AcceptedContainers } from '../contract/answers.ts';
import type { Job } from '../contract/jobs.ts';
import { type JobDefinition, type JobKind, type JobResults, jobCommand } from '../contract/registry.ts';
import type { CallOptions } from './transport.ts';

type Body<K extends JobKind> = z.input<JobDefinition<K>['input']>;

/** The input of a command: the body of its request, and the container that its path names. */
export type CommandInput<K extends JobKind> = JobDefinition<K>['container'] extends 'path'
  ? // zod's object without fields takes no other one either.
    (string extends keyof Body<K> ? unknown : Body<K>) & { containerId: string }
  : Body<K>;

/** A job of one kind, with that kind's result. */
export type JobOf<K extends JobKind> = Omit<Job, 'kind' | 'result'> & { kind: K; result?: JobResults[K] };

/** What became of a submission. */
export type Submission<K extends JobKind> = {
  jobId: string;
  /** The `Idempotency-Key` was used before: this is the job that was accepted then. */
  replayed: boolean;
  /** The job as it ended, when it did so within `waitMs`. */
  job?: JobOf<K>;
} & (JobDefinition<K>['container'] extends 'creates' ? Omit<AcceptedContainers, 'jobId'> : unknown);

export type SubmitOptions = CallOptions & {
  /** Names the intent, so that it is carried out once however often it is sent; made for each call if left out. */
  idempotencyKey?: string;
  /** Waits this long for the job to end, ms: whole seconds, 10 s at most. */
  waitMs?: number;
};

/** A method for each command, by the name of its operation. */
export type CommandMethods = {
  [K in JobKind as JobDefinition<K>['http']['operationId']]: (
    ...parameters: CommandParameters<K>
  ) => Promise<Submission<K>>;
};

/** An input without a required field may be left out. */
export type CommandParameters<K extends JobKind> =
  Record<never, never> extends CommandInput<K>
    ? [input?: CommandInput<K>, options?: SubmitOptions]
    : [input: CommandInput<K>, options?: SubmitOptions];

/** 128 random bits. `crypto.randomUUID` is missing where a page comes over plain HTTP from another host than localhost. */
export function newIdempotencyKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** The route of a command, with the container that its path names, and the body of its request. */
export function requestOf(kind: JobKind, input: object): { method: string; path: string; body: object } {
  const { http, container } = jobCommand(kind);
  if (container !== 'path') return { method: http.method.toUpperCase(), path: http.path, body: input };
  const { containerId, ...body } = input as { containerId: string };
  const path = http.path.replace('{id}', encodeURIComponent(containerId));
  return { method: http.method.toUpperCase(), path, body };
}
