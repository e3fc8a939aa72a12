import { sql } from 'drizzle-orm';
import {
  bigint,
  boolean,
  date,
  doublePrecision,
  index,
  integer,
  json,
  pgTable,
  primaryKey,
  text,
  timestamp,
  uniqueIndex,
} from 'drizzle-orm/pg-core';

import {
  type ContainerExit,
  type ContainerState,
  ENDED_CONTAINER_STATES,
  type EndReason,
  type PausedBy,
} from '../../contract/containers.ts';
import { type JobError, type JobKind, type JobState, TERMINAL_JOB_STATES } from '../../contract/jobs.ts';
import type { Labels } from '../../contract/labels.ts';

/**
 * The ledger: every acknowledged submission and its outcome, in PostgreSQL. Times have milliseconds, as in
 * Redis, so that a record and its row are equal. There are no foreign keys, as related rows may arrive in any
 * order.
 */
const time = (name: string) => timestamp(name, { withTimezone: true, precision: 3, mode: 'date' });

/** A list of states as SQL; an index can have no parameters. */
const listed = (states: readonly string[]) => sql.raw(`(${states.map((state) => `'${state}'`).join(', ')})`);

/** One row for each job: its latest run. */
export const jobs = pgTable(
  'jobs',
  {
    id: text('id').primaryKey(),
    userId: text('user_id').notNull(),
    kind: text('kind').$type<JobKind>().notNull(),
    state: text('state').$type<JobState>().notNull(),
    run: integer('run').notNull(),
    fence: integer('fence').notNull(),
    attemptsMade: integer('attempts_made').notNull(),
    queue: text('queue').notNull(),
    /** The run's priority in its queue, and its class: see `PRIORITY_CLASS`. */
    priority: integer('priority').notNull().default(0),
    priorityClass: integer('priority_class').notNull().default(5),
    /** How long one attempt may take, ms; 0 for the usual. */
    timeoutMs: integer('timeout_ms').notNull().default(0),
    /** The URL of its owner's webhook; '' for none. */
    webhookUrl: text('webhook_url').notNull().default(''),
    /** The desktop it is about; '' for work without one. */
    containerId: text('container_id').notNull(),
    /** All that it creates, when they are several; the first of them is `containerId`. */
    containerIds: json('container_ids').$type<string[]>(),
    requestId: text('request_id').notNull(),
    /** Chosen by its owner; null for none. */
    labels: json('labels').$type<Labels>(),
    result: json('result').$type<unknown>(),
    error: json('error').$type<JobError>(),
    createdAt: time('created_at').notNull(),
    startedAt: time('started_at'),
    finishedAt: time('finished_at'),
  },
  (t) => [
    index('jobs_by_user').on(t.userId, t.createdAt, t.id),
    index('jobs_by_user_state').on(t.userId, t.state, t.createdAt, t.id),
    index('jobs_by_user_kind').on(t.userId, t.kind, t.createdAt, t.id),
    index('jobs_open').on(t.createdAt, t.id).where(sql`${t.finishedAt} is null`),
    index('jobs_finished').on(t.finishedAt).where(sql`${t.finishedAt} is not null`),
  ],
);

/**
 * The inputs of jobs that are too large for their rows: requests of inferences. Each is deleted with its job.
 */
export const jobInputs = pgTable('job_inputs', {
  jobId: text('job_id').primaryKey(),
  userId: text('user_id').notNull(),
  input: text('input').notNull(),
});

/** Every change of every run, once. `seq` is unique within the run. */
export const jobChanges = pgTable(
  'job_changes',
  {
    jobId: text('job_id').notNull(),
    run: integer('run').notNull(),
    seq: text('seq').notNull(),
    userId: text('user_id').notNull(),
    state: text('state').$type<JobState>().notNull(),
    fence: integer('fence').notNull(),
    attemptsMade: integer('attempts_made').notNull(),
    at: time('at').notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.jobId, t.run, t.seq] }),
    uniqueIndex('job_changes_one_end')
      .on(t.jobId, t.run)
      .where(sql`${t.state} in ${listed(TERMINAL_JOB_STATES)}`),
  ],
);

/** One row for each desktop. */
export const containers = pgTable(
  'containers',
  {
    id: text('id').primaryKey(),
    userId: text('user_id').notNull(),
    name: text('name').notNull(),
    state: text('state').$type<ContainerState>().notNull(),
    image: text('image').notNull(),
    width: integer('width').notNull(),
    height: integer('height').notNull(),
    /** `ContainerSpec`, from which it is started again when Redis has lost it; '{}' once it has ended. */
    spec: json('spec').$type<unknown>().notNull(),
    /** The job that starts it. */
    jobId: text('job_id').notNull(),
    /** Where it is placed: host, the host's boot id, and the placement's fence. */
    host: text('host').notNull(),
    boot: text('boot').notNull(),
    fence: integer('fence').notNull(),
    /** The engine's container that it is, see `workers/containers/spec.ts`; '' while it has none. */
    instanceId: text('instance_id').notNull().default(''),
    error: json('error').$type<JobError>(),
    createdAt: time('created_at').notNull(),
    startedAt: time('started_at'),
    expiresAt: time('expires_at'),
    endedAt: time('ended_at'),
    /** Why it was stopped, where no request asked for that. */
    endReason: text('end_reason').$type<EndReason>(),
    /** Chosen by its owner; null for none. */
    labels: json('labels').$type<Labels>(),
    /** Whether it was taken from the warm pool. */
    warm: boolean('warm').notNull().default(false),
    /** The last use that was recorded. */
    usedAt: time('used_at'),
    pausedBy: text('paused_by').$type<PausedBy>(),
    /** How its programs ended, if it failed. */
    exit: json('exit').$type<ContainerExit>(),
  },
  (t) => [
    index('containers_by_user').on(t.userId, t.createdAt, t.id),
    index('containers_by_user_state').on(t.userId, t.state, t.createdAt, t.id),
    index('containers_open').on(t.createdAt, t.id).where(sql`${t.endedAt} is null`),
    index('containers_by_instance').on(t.instanceId),
    index('containers_ended').on(t.endedAt).where(sql`${t.endedAt} is not null`),
  ],
);

/** Every change of every desktop, once. */
export const containerChanges = pgTable(
  'container_changes',
  {
    containerId: text('container_id').notNull(),
    seq: text('seq').notNull(),
    userId: text('user_id').notNull(),
    state: text('state').$type<ContainerState>().notNull(),
    host: text('host').notNull(),
    fence: integer('fence').notNull(),
    at: time('at').notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.containerId, t.seq] }),
    uniqueIndex('container_changes_one_end')
      .on(t.containerId)
      .where(sql`${t.state} in ${listed(ENDED_CONTAINER_STATES)}`),
  ],
);

/** The purpose of a volume: `screen` holds the socket of a container's screen. */
export type VolumeKind = 'screen';
export type VolumeState = 'present' | 'removed';

/**
 * One row for each volume on an engine, from before it is made until its host has removed it. A table of its
 * own, as a volume may outlive its container, or have none: homes and snapshots will.
 */
export const volumes = pgTable(
  'volumes',
  {
    /** The id of the instance that it was made with. */
    id: text('id').primaryKey(),
    userId: text('user_id').notNull(),
    /** '' for one that belongs to no container. */
    containerId: text('container_id').notNull(),
    host: text('host').notNull(),
    kind: text('kind').$type<VolumeKind>().notNull(),
    state: text('state').$type<VolumeState>().notNull(),
    /** The most that it may hold, bytes. */
    sizeBytes: bigint('size_bytes', { mode: 'number' }).notNull(),
    createdAt: time('created_at').notNull(),
    removedAt: time('removed_at'),
  },
  (t) => [
    index('volumes_present_by_host').on(t.host).where(sql`${t.removedAt} is null`),
    index('volumes_removed').on(t.removedAt).where(sql`${t.removedAt} is not null`),
  ],
);

/** The job that an `Idempotency-Key` (as SHA-256) was used for; remembered for `ENDED_RECORD_TTL_MS`. */
export const idempotencyKeys = pgTable(
  'idempotency_keys',
  {
    userId: text('user_id').notNull(),
    keyHash: text('key_hash').notNull(),
    requestHash: text('request_hash').notNull(),
    jobId: text('job_id').notNull(),
    containerId: text('container_id').notNull(),
    createdAt: time('created_at').notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.userId, t.keyHash] }),
    index('idempotency_keys_by_time').on(t.createdAt),
    index('idempotency_keys_by_job').on(t.jobId),
  ],
);

/** The usage of a user on one day (UTC), counted when jobs and desktops end. It outlives their rows. */
export const usageDays = pgTable(
  'usage_days',
  {
    userId: text('user_id').notNull(),
    day: date('day', { mode: 'string' }).notNull(),
    jobs: integer('jobs').notNull(),
    queueSeconds: doublePrecision('queue_seconds').notNull(),
    runSeconds: doublePrecision('run_seconds').notNull(),
    desktopSeconds: doublePrecision('desktop_seconds').notNull(),
    inputTokens: bigint('input_tokens', { mode: 'number' }).notNull(),
    outputTokens: bigint('output_tokens', { mode: 'number' }).notNull(),
  },
  (t) => [primaryKey({ columns: [t.userId, t.day] })],
);

/** Limits of users that differ from those of the deployment. */
export const userLimits = pgTable('user_limits', {
  userId: text('user_id').primaryKey(),
  limits: json('limits').$type<unknown>().notNull(),
  updatedAt: time('updated_at').notNull(),
  /** The admin that set them. */
  updatedBy: text('updated_by').notNull(),
});

/** One row, renewed every second by the fleet: how far behind a replica is. */
export const heartbeat = pgTable('heartbeat', {
  id: integer('id').primaryKey(),
  at: time('at').notNull(),
});
