import type { z } from 'zod';
import type { AcceptedContainers } from '../contract/answers.ts';
import type { Job } from '../contract/jobs.ts';
import { type JobDefinition, type JobKind, type JobResults, jobCommand } from '../contract/registry.ts';
import type { CallOptions } from './transport.ts';

type Body<K extends JobKind> = z.input<JobDefinition<K>['input']>;

/** The input of a command: the body of its request, with the id of the container when its path has one. */
export type CommandInput<K extends JobKind> = JobDefinition<K>['container'] extends 'path'
  ? // An object without fields does not accept `containerId`, so it is left out of the intersection.
    (string extends keyof Body<K> ? unknown : Body<K>) & { containerId: string }
  : Body<K>;

/** A job of one kind, with the result type of that kind. */
export type JobOf<K extends JobKind> = Omit<Job, 'kind' | 'result'> & { kind: K; result?: JobResults[K] };

/** The result of a submission: the accepted job, and the containers that it creates. */
export type Submission<K extends JobKind> = {
  /** The id of the job. */
  jobId: string;
  /** The `Idempotency-Key` was used before, and this is the job that it created. */
  replayed: boolean;
  /** The ended job, when it ended within `waitMs`. */
  job?: JobOf<K>;
} & (JobDefinition<K>['container'] extends 'creates' ? Omit<AcceptedContainers, 'jobId'> : unknown);

/** Options of a submission. */
export type SubmitOptions = CallOptions & {
  /**
   * The idempotency key: submissions with the same key and body give the same job for 24 hours. Default: a
   * new key for each call, which its retries share.
   */
  idempotencyKey?: string;
  /** How long to wait for the job to end, ms, rounded up to seconds; at most 10,000. Default: 0. */
  waitMs?: number;
};

/** One method for each command, named by its operation id. */
export type CommandMethods = {
  [K in JobKind as JobDefinition<K>['http']['operationId']]: (
    ...parameters: CommandParameters<K>
  ) => Promise<Submission<K>>;
};

/** The parameters of a command's method. An input without required fields is optional. */
export type CommandParameters<K extends JobKind> =
  Record<never, never> extends CommandInput<K>
    ? [input?: CommandInput<K>, options?: SubmitOptions]
    : [input: CommandInput<K>, options?: SubmitOptions];

/**
 * Makes a random idempotency key of 128 bits. It does not use `crypto.randomUUID`, which is missing on pages
 * over plain HTTP.
 */
export function newIdempotencyKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** @returns the method, the path with its container, and the body of a command's request */
export function requestOf(kind: JobKind, input: object): { method: string; path: string; body: object } {
  const { http, container } = jobCommand(kind);
  if (container !== 'path') return { method: http.method.toUpperCase(), path: http.path, body: input };
  const { containerId, ...body } = input as { containerId: string };
  const path = http.path.replace('{id}', encodeURIComponent(containerId));
  return { method: http.method.toUpperCase(), path, body };
}
