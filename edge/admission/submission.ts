import type { JobCommand, Lane } from '@warmwind/shared/contract/command';
import type { LimitScope, Quotas } from '@warmwind/shared/contract/limits';
import type { JobKind } from '@warmwind/shared/contract/registry';
import type { Fields } from '@warmwind/shared/engine/ledger/rows';
import type { JobData, PriorityClass } from '@warmwind/shared/engine/queues';
import type { SubmitVerdict } from '@warmwind/shared/engine/records';
import type { Idempotency } from './idempotency.ts';

type Request = {
  userId: string;
  requestId: string;
  scopes: readonly LimitScope[];
  idempotency: Idempotency | undefined;
  quotas: Quotas;
};

/** A new job. */
export type NewJob = Request & {
  action: 'new';
  command: JobCommand<JobKind>;
  lane: Lane;
  /** The container that it is about; '' for work without one, and for what creates containers. */
  containerId: string;
  /** The fields of the records of the containers that it creates, each with an id of its own. */
  containers: Fields[];
  /** What the worker is given, JSON; '' when its command keeps no input. */
  input: string;
  priorityClass?: PriorityClass | undefined;
  timeoutMs?: number | undefined;
  /** Where its owner wants to be notified of it. */
  webhookUrl?: string | undefined;
};

/** A new run of a job that has ended without success. */
export type Retry = Request & { action: 'retry'; jobId: string };

export type Submission = NewJob | Retry;

/** A run that belongs into `queue`. */
export type QueuedRun = Omit<JobData, 'version'> & { queue: string; priority: number };

/** The script's verdict of a job it accepted, now or before. */
export type AcceptedJob = Extract<SubmitVerdict, { verdict: 'accepted' | 'replayed' }>;
/** Its verdict when it accepts none. */
export type RefusedVerdict = Exclude<SubmitVerdict, AcceptedJob>;

export const isAccepted = (verdict: SubmitVerdict): verdict is AcceptedJob =>
  verdict.verdict === 'accepted' || verdict.verdict === 'replayed';
