import type { JobCommand, Lane } from '@warmwind/shared/contract/command';
import type { Labels } from '@warmwind/shared/contract/labels';
import type { LimitScope, Quotas } from '@warmwind/shared/contract/limits';
import type { JobKind } from '@warmwind/shared/contract/registry';
import type { Fields } from '@warmwind/shared/engine/ledger/rows';
import type { JobData, PriorityClass } from '@warmwind/shared/engine/queues';
import type { SubmitVerdict } from '@warmwind/shared/engine/records';
import type { Idempotency } from './idempotency.ts';

/** The fields of every submission. */
type SubmissionBase = {
  userId: string;
  requestId: string;
  scopes: readonly LimitScope[];
  idempotency: Idempotency | undefined;
  quotas: Quotas;
};

/** A new job. */
export type NewJob = SubmissionBase & {
  action: 'new';
  command: JobCommand<JobKind>;
  lane: Lane;
  /** The container that the job is about; '' for a job without one, and for a job that creates containers. */
  containerId: string;
  /** The record fields of the containers that the job creates, each with its own id. */
  containers: Fields[];
  /** The input for the worker, JSON; '' when the command keeps no input. */
  input: string;
  priorityClass?: PriorityClass | undefined;
  timeoutMs?: number | undefined;
  /** The address of the webhook that reports the job to its owner. */
  webhookUrl?: string | undefined;
  /** Labels of the job; those that it creates have them too. */
  labels?: Labels | undefined;
};

/** A new run of a job that has ended without success. */
export type Retry = SubmissionBase & { action: 'retry'; jobId: string };

export type Submission = NewJob | Retry;

/** A run to add to `queue`. */
export type QueuedRun = Omit<JobData, 'version'> & { queue: string; priority: number };

/** The script's verdict on a job that it accepted, now or before. */
export type AcceptedJob = Extract<SubmitVerdict, { verdict: 'accepted' | 'replayed' }>;
/** The script's verdict when it accepts no job. */
export type RefusedVerdict = Exclude<SubmitVerdict, AcceptedJob>;

export const isAccepted = (verdict: SubmitVerdict): verdict is AcceptedJob =>
  verdict.verdict === 'accepted' || verdict.verdict === 'replayed';
