import type { JobError } from '../../contract/jobs.ts';
import { keys, recordPrefixes } from '../keys.ts';
import { type JobRow, jobRecord } from '../ledger/rows.ts';
import { ENDED_RECORD_TTL_MS, OPEN_RECORD_TTL_MS, OUTSTANDING_MS } from '../records.ts';
import { containersOf, type JobRef } from '../refs.ts';
import { changeJob, claimJob } from '../scripts/job.lua.ts';
import { type EndedRun, endedRuns, type JobEnd } from './ended-runs.ts';
import type { JobEvents, OutputOffsets, OutputPiece, Progress } from './job-events.ts';
import { JobReader } from './job-reader.ts';
import type { RecordStore } from './store.ts';
import type { UnpublishedEnds } from './unpublished.ts';

export type { OutputOffsets, OutputPiece, OutputStream } from './job-events.ts';
export type { JobRef };
/** `timeoutMs`: how long an attempt may take, `undefined` for the usual. */
export type Claim =
  | { verdict: 'ok'; fence: number; timeoutMs: number | undefined }
  | { verdict: 'ended' | 'stale' | 'gone' };
export type JobChange = 'ok' | 'ended' | 'stale' | 'gone';

/**
 * Receives the updates of runs in addition to their rooms. It may receive an update twice and must be
 * idempotent.
 */
export type Notify = (update: RunUpdate) => Promise<void>;
export type RunUpdate = {
  ref: JobRef;
  /** Whether the job has a webhook. */
  webhook: boolean;
  /** When it happened, ms. */
  at: number;
  /** Attempts that have ended. */
  attemptsMade: number;
  end: JobEnd | undefined;
};

/** Records and publishes the states of jobs: see `Records`. */
export class JobRecords extends JobReader {
  readonly #events: JobEvents;
  readonly #unpublished: UnpublishedEnds;
  readonly #notify: Notify;

  constructor(store: RecordStore, events: JobEvents, unpublished: UnpublishedEnds, notify: Notify) {
    super(store);
    this.#events = events;
    this.#unpublished = unpublished;
    this.#notify = notify;
  }

  /**
   * Confirms a run that was seen in its queue: its reservations count as outstanding, and `job.queued` is
   * published.
   */
  async queued(ref: JobRef): Promise<void> {
    if (ref.run > 1) await this.#publishEndsUpTo(ref, ref.run - 1);
    await Promise.all([this.#confirm(ref), this.#events.queued(ref)]);
  }

  /** Extends the time for which a run that takes long counts as outstanding. */
  async extend(ref: JobRef): Promise<void> {
    await this.#confirm(ref);
  }

  /** Takes a run: `active` under a new fence. `attemptsMade` counts the attempts that have ended. */
  async claim(ref: JobRef, attemptsMade: number): Promise<Claim> {
    const now = Date.now();
    const { maxChanges } = this.store;
    const until = now + OUTSTANDING_MS;
    const args = {
      run: ref.run,
      now,
      attemptsMade,
      openTtlMs: OPEN_RECORD_TTL_MS,
      until,
      maxChanges,
      containerPrefix: recordPrefixes(ref.userId).container,
    };
    const answer = await this.#known(ref, () => this.store.change(ref.userId, claimJob, ref, args));
    if (answer[0] !== 'ok') return { verdict: answer[0] };
    const [, value, timeoutMs, webhook, ends] = answer;
    const fence = Number(value);
    if (ends) await this.#publishEndsUpTo(ref, ref.run - 1);
    // Not awaited: later events follow it in order, and a run that is taken again publishes it again.
    void this.#events.active(ref, fence, attemptsMade + 1);
    await this.#notify({ ref, webhook: webhook === '1', at: now, attemptsMade, end: undefined });
    return { verdict: 'ok', fence, timeoutMs: Number(timeoutMs) || undefined };
  }

  /**
   * Records how far a run is. Why a start waits is kept until it is taken again.
   * @param seq rises within the fence; an older one is dropped
   */
  async progress(ref: JobRef, fence: number, seq: number, progress: Progress): Promise<JobChange> {
    const { percent, waiting } = progress;
    const fields = ['progress', percent, ...(waiting ? ['waiting', JSON.stringify(waiting)] : [])];
    const verdict = await this.#changed(ref, fence, OPEN_RECORD_TTL_MS, fields);
    if (verdict === 'ok') await this.#events.progress(ref, fence, seq, progress);
    return verdict;
  }

  /** A piece of a run's output. `seq` is counted with that of `progress`; `attempt` counts from 1. */
  async output(ref: JobRef, fence: number, seq: number, text: string, attempt: number): Promise<void> {
    await this.#events.output(ref, fence, seq, text, attempt);
  }

  /**
   * Publishes a piece of the output of a run's program now or not at all.
   * @returns whether it is new to the log; also `false` while the realtime Redis does not answer
   */
  programOutput(ref: JobRef, fence: number, piece: OutputPiece, attempt: number): Promise<boolean> {
    return this.#events.programOutput(ref, fence, piece, attempt);
  }

  /**
   * The offsets up to which the job's log has the output of the run's program.
   * @returns `undefined` while the realtime Redis does not answer
   */
  outputEnds(ref: JobRef): Promise<OutputOffsets | undefined> {
    return this.#events.outputEnds(ref);
  }

  /** An attempt failed and another follows after `delayMs` or so. */
  async retry(
    ref: JobRef,
    fence: number,
    attemptsMade: number,
    error: JobError,
    delayMs: number,
  ): Promise<JobChange> {
    const fields = ['state', 'delayed', 'attemptsMade', attemptsMade];
    const verdict = await this.#changed(ref, fence, OPEN_RECORD_TTL_MS, fields);
    if (verdict === 'ok') await this.#events.retrying(ref, fence, { error, attemptsMade, delayMs });
    return verdict;
  }

  /**
   * The run waits again, with no attempt spent.
   * @param queue the run's new queue, when it has moved
   */
  async requeue(ref: JobRef, fence: number | undefined, queue?: string): Promise<JobChange> {
    const fields = ['state', 'queued', ...(queue ? ['queue', queue] : [])];
    return this.#changed(ref, fence, OPEN_RECORD_TTL_MS, fields);
  }

  /**
   * Records the run's end. The first end stands; it is published, or published again.
   * @param fence left out by a process that acts for a dead holder
   */
  async end(ref: JobRef, end: JobEnd, fence?: number, attemptsMade?: number): Promise<JobChange> {
    const at = Date.now();
    const fields: (string | number)[] = ['state', end.state, 'finishedAt', at];
    if (attemptsMade !== undefined) fields.push('attemptsMade', attemptsMade);
    if (end.state === 'completed') {
      fields.push('progress', 100);
      if (end.result !== undefined) fields.push('result', JSON.stringify(end.result));
    } else if (end.error) {
      fields.push('error', JSON.stringify(end.error));
    }
    const answer = await this.#change(ref, fence, ENDED_RECORD_TTL_MS, fields);
    if (answer[0] === 'ok') {
      const [, webhook, last, made] = answer;
      const ended = { ref, end, fence: Number(last), queue: '', at, attemptsMade: Number(made) };
      await this.#publishEnd(ended, webhook === '1');
    }
    if (answer[0] === 'ended') await this.republishEnds(ref);
    return answer[0];
  }

  /** Publishes the recorded ends of this run and of those before it, which a retry may have overtaken. */
  async republishEnds(ref: JobRef): Promise<void> {
    await this.#publishEndsUpTo(ref, ref.run);
  }

  /**
   * Publishes every recorded end of a job, as far as the realtime Redis answers now.
   * @returns whether its room has them
   */
  async publishEnds(userId: string, jobId: string): Promise<boolean> {
    for (const { ref, end, fence } of (await this.endedRuns(userId, jobId)) ?? []) {
      if (!(await this.#events.endedNow(ref, end, fence))) return false;
    }
    return true;
  }

  /** Publishes the ends that the ledger has of a job, even if Redis has lost its record. */
  async publishRecordedEnds(row: JobRow): Promise<void> {
    const webhook = row.webhookUrl !== '';
    for (const run of endedRuns(row.userId, jobRecord(row))) {
      if (row.startedAt) {
        const at = row.startedAt.getTime();
        await this.#notify({ ref: run.ref, webhook, at, attemptsMade: 0, end: undefined });
      }
      await this.#publishEnd(run, webhook);
    }
  }

  /**
   * Restores a job's record, unless Redis has one that is as new.
   * @returns whether it was restored
   */
  restore(row: JobRow): Promise<boolean> {
    return this.store.restoreJob(row);
  }

  /** Extends the short reservations of a submission, unless they have expired, and keeps its records. */
  async #confirm(ref: JobRef): Promise<void> {
    const until = Date.now() + OUTSTANDING_MS;
    const { redis } = this.store;
    const { userId, jobId } = ref;
    await Promise.all([
      redis.zadd(keys.openJobs(userId), 'XX', until, jobId),
      redis.pexpire(keys.job(userId, jobId), OPEN_RECORD_TTL_MS, 'GT'),
      ...containersOf(ref).flatMap(({ containerId }) => [
        redis.zadd(keys.openContainers(userId), 'XX', until, containerId),
        redis.pexpire(keys.container(userId, containerId), OPEN_RECORD_TTL_MS, 'GT'),
      ]),
    ]);
  }

  async #changed(
    ref: JobRef,
    fence: number | undefined,
    ttlMs: number,
    fields: (string | number)[],
  ): Promise<JobChange> {
    const [verdict] = await this.#change(ref, fence, ttlMs, fields);
    return verdict;
  }

  #change(ref: JobRef, fence: number | undefined, ttlMs: number, fields: (string | number)[]) {
    const args = { fence, run: ref.run, ttlMs, maxChanges: this.store.maxChanges };
    return this.#known(ref, () => this.store.change(ref.userId, changeJob, ref, args, fields));
  }

  async #publishEnd({ ref, end, fence, at, attemptsMade }: EndedRun, webhook: boolean): Promise<void> {
    const [published] = await Promise.all([
      this.#events.ended(ref, end, fence),
      this.#notify({ ref, webhook, at, attemptsMade, end }),
    ]);
    if (!published) await this.#unpublished.add({ kind: 'job', userId: ref.userId, id: ref.jobId });
  }

  /** Publishes the recorded ends up to and including that of run `last`. */
  async #publishEndsUpTo({ userId, jobId }: JobRef, last: number): Promise<void> {
    const record = await this.store.redis.hgetall(keys.job(userId, jobId));
    for (const ended of endedRuns(userId, record)) {
      if (ended.ref.run <= last) await this.#publishEnd(ended, Boolean(record.webhookUrl));
    }
  }

  /** Runs work, and once more with the record from the ledger when Redis has none. */
  async #known<T extends [string, ...unknown[]]>(
    { userId, jobId }: JobRef,
    work: () => Promise<T>,
  ): Promise<T> {
    const answer = await work();
    if (answer[0] !== 'gone' || !(await this.store.recallJob(userId, jobId))) return answer;
    return work();
  }
}
