import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';
import { type ContainerState, hasEnded } from '../containers.ts';
import { type EventType, type StoredEvent, terminalEvent } from '../events.ts';
import {
  iso,
  isTerminal,
  type JobError,
  type JobKind,
  type JobState,
  jobFromRecord,
  type TerminalJobState,
} from '../jobs.ts';
import { keys } from '../keys.ts';
import { changeContainerScript, placeContainerScript } from '../lua/container.lua.ts';
import { changeJobScript, claimJobScript } from '../lua/job.lua.ts';
import { ENDED_RECORD_TTL_MS, OPEN_RECORD_TTL_MS, OUTSTANDING_MS } from '../records.ts';
import { type Append, evalScript, type Subject } from './events.ts';
import type { Publisher } from './publisher.ts';

/** One run of a job. */
export type JobRef = { userId: string; jobId: string; run: number; kind: JobKind; containerId: string };
export type ContainerRef = { userId: string; containerId: string };

/** How a run ended. */
export type JobEnd =
  | { state: 'completed'; result?: unknown }
  | { state: Exclude<TerminalJobState, 'completed'>; error?: JobError };

export type Claim = { verdict: 'ok'; fence: number } | { verdict: 'ended' | 'stale' | 'gone' };
export type JobChange = 'ok' | 'ended' | 'stale' | 'gone';

/** A desktop's record as workers need it. `host` and `boot` are empty while it is not placed; times in ms. */
export type DesktopRecord = {
  userId: string;
  containerId: string;
  state: ContainerState;
  fence: number;
  host: string;
  boot: string;
  width: number;
  height: number;
  expiresAt: number | undefined;
  /** The job that starts it, and the one that stops it. */
  jobId: string;
  stopJobId: string;
  /** `ContainerSpec` as JSON. */
  spec: string;
  /** Why it failed. */
  error: JobError | undefined;
};

export type Placement =
  | { verdict: 'ok'; fence: number }
  | { verdict: 'taken'; state: ContainerState; host: string; boot: string; fence: number }
  | { verdict: 'gone' };

/** A desktop's change of state under its placement's `fence`; `from` lists the states it may be in now (default: any). */
export type ContainerChange = { fence: number; from?: ContainerState[] } & (
  | { to: 'requested' | 'stopping' | 'stopped' | 'lost' }
  | { to: 'running'; startedAt: number; expiresAt: number; width: number; height: number }
  | { to: 'failed'; error: JobError | undefined }
);
export type ContainerVerdict = 'ok' | 'refused' | 'gone';

const script = (source: string) => ({ source, sha: createHash('sha1').update(source).digest('hex') });
const CLAIM_JOB = script(claimJobScript);
const CHANGE_JOB = script(changeJobScript);
const PLACE = script(placeContainerScript);
const CHANGE_CONTAINER = script(changeContainerScript);

/**
 * The one module that records what becomes of jobs and desktops: first the record in the queue Redis, by a script that
 * refuses the stale, then the event of it. Who dies in between is made up for by whoever meets the run next: every
 * event here that matters comes once by its token, so saying it again is harmless.
 */
export class Records {
  readonly #redis: Redis;
  readonly #publisher: Publisher;

  /** @param redis the queue Redis, a patient connection for workers */
  constructor(redis: Redis, publisher: Publisher) {
    this.#redis = redis;
    this.#publisher = publisher;
  }

  // ---- jobs ------------------------------------------------------------------------------------------------------

  /** Tells that a run waits, and of the desktop it asks for. */
  async queued(ref: JobRef): Promise<void> {
    await Promise.all([this.#job(ref, [queuedEvent(ref)]), this.#requested(ref)]);
  }

  /** Takes a run: `active` under a new fence. `attemptsMade` counts the attempts that have ended. */
  async claimJob(ref: JobRef, attemptsMade: number): Promise<Claim> {
    const now = Date.now();
    const args = [ref.run, now, attemptsMade, OPEN_RECORD_TTL_MS, now + OUTSTANDING_MS];
    const [verdict, value] = await this.#eval(CLAIM_JOB, jobKeys(ref), args);
    if (verdict !== 'ok') return { verdict: verdict as 'ended' | 'stale' | 'gone' };
    const fence = Number(value);
    const event = jobEvent(ref, 'job.active', { attempt: attemptsMade + 1 });
    const active = { event, token: `active:${ref.run}:${fence}` };
    await Promise.all([this.#job(ref, [queuedEvent(ref), active], fence), this.#requested(ref)]);
    return { verdict: 'ok', fence };
  }

  /** @param seq rises within the fence; an older one is dropped */
  async progressJob(
    ref: JobRef,
    fence: number,
    seq: number,
    percent: number,
    message?: string,
  ): Promise<JobChange> {
    const verdict = await this.#changeJob(ref, fence, OPEN_RECORD_TTL_MS, ['progress', percent]);
    if (verdict !== 'ok') return verdict;
    const event = jobEvent(ref, 'job.progress', { percent, ...(message ? { message } : {}) });
    await this.#job(ref, [{ event, seq }], fence);
    return verdict;
  }

  /** An attempt failed and another follows after `delayMs` or so. */
  async retryJob(
    ref: JobRef,
    fence: number,
    attemptsMade: number,
    error: JobError,
    delayMs: number,
  ): Promise<JobChange> {
    const fields = ['state', 'delayed', 'attemptsMade', attemptsMade];
    const verdict = await this.#changeJob(ref, fence, OPEN_RECORD_TTL_MS, fields);
    if (verdict !== 'ok') return verdict;
    const event = jobEvent(ref, 'job.retrying', { error, attemptsMade, delayMs });
    await this.#job(ref, [{ event, token: `retrying:${ref.run}:${fence}` }], fence);
    return verdict;
  }

  /** The run waits again, no attempt spent; `queue` when it has moved to another one. */
  async handBackJob(ref: JobRef, fence: number | undefined, queue?: string): Promise<JobChange> {
    return this.#changeJob(ref, fence, OPEN_RECORD_TTL_MS, [
      'state',
      'queued',
      ...(queue ? ['queue', queue] : []),
    ]);
  }

  /** The run's one end. Without `fence` for who acts for a dead holder. The first end stands and is told (again). */
  async endJob(ref: JobRef, end: JobEnd, fence?: number, attemptsMade?: number): Promise<JobChange> {
    const fields: (string | number)[] = ['state', end.state, 'finishedAt', Date.now()];
    if (attemptsMade !== undefined) fields.push('attemptsMade', attemptsMade);
    if (end.state === 'completed') {
      fields.push('progress', 100);
      if (end.result !== undefined) fields.push('result', JSON.stringify(end.result));
    } else if (end.error) {
      fields.push('error', JSON.stringify(end.error));
    }
    const verdict = await this.#changeJob(ref, fence, ENDED_RECORD_TTL_MS, fields);
    if (verdict === 'ok') await this.#tellEnd(ref, end);
    if (verdict === 'ended') await this.tellEndAgain(ref);
    return verdict;
  }

  /** Makes sure that the end which is in the record is in the log as well. */
  async tellEndAgain(ref: JobRef): Promise<void> {
    const job = jobFromRecord(await this.#redis.hgetall(keys.job(ref.userId, ref.jobId)));
    if (!job || job.run !== ref.run || !isTerminal(job.state)) return;
    const { state, result, error } = job;
    await this.#tellEnd(
      ref,
      state === 'completed' ? { state, result } : { state, ...(error ? { error } : {}) },
    );
  }

  /** The state and run of a job, `undefined` when it is not known (any more). */
  async job(userId: string, jobId: string): Promise<{ state: JobState; run: number } | undefined> {
    const [state, run] = await this.#redis.hmget(keys.job(userId, jobId), 'state', 'run');
    return state ? { state: state as JobState, run: Number(run) } : undefined;
  }

  // ---- desktops --------------------------------------------------------------------------------------------------

  /** A desktop's record, `undefined` when there is none. */
  async container({ userId, containerId }: ContainerRef): Promise<DesktopRecord | undefined> {
    const f = await this.#redis.hgetall(keys.container(userId, containerId));
    if (!f.state) return undefined;
    return {
      userId,
      containerId,
      state: f.state as ContainerState,
      fence: Number(f.fence),
      host: f.host ?? '',
      boot: f.boot ?? '',
      width: Number(f.width),
      height: Number(f.height),
      expiresAt: f.expiresAt ? Number(f.expiresAt) : undefined,
      jobId: f.jobId ?? '',
      stopJobId: f.stopJobId ?? '',
      spec: f.spec ?? '',
      error: f.error ? (JSON.parse(f.error) as JobError) : undefined,
    };
  }

  /**
   * A host takes a desktop, before it creates anything: it stands in the host's own set first, so that whatever a dying
   * worker leaves behind is found. `fence` is the one that was read: of two hosts one wins.
   */
  async placeContainer(ref: ContainerRef, fence: number, host: string, boot: string): Promise<Placement> {
    await this.#redis.sadd(keys.hostContainers(host), member(ref));
    const args = [fence, host, boot, OPEN_RECORD_TTL_MS];
    const answer = await this.#eval(PLACE, [keys.container(ref.userId, ref.containerId)], args);
    if (answer[0] === 'gone') return { verdict: 'gone' };
    if (answer[0] === 'taken') {
      const [, state, takenHost = '', boot = '', takenFence] = answer;
      return {
        verdict: 'taken',
        state: state as ContainerState,
        host: takenHost,
        boot,
        fence: Number(takenFence),
      };
    }
    const placed = Number(answer[1]);
    await this.#container(ref, 'container.starting', `starting:${placed}`, {}, placed);
    return { verdict: 'ok', fence: placed };
  }

  /**
   * Changes a desktop's state and tells of it; `requested` gives its place up without a word.
   * @param before what must have been told first
   */
  async changeContainer(
    ref: ContainerRef,
    change: ContainerChange,
    before?: () => Promise<unknown>,
  ): Promise<ContainerVerdict> {
    const ended = hasEnded(change.to);
    const fields: (string | number)[] = ['state', change.to];
    if (change.to === 'requested') fields.push('host', '', 'boot', '');
    if (change.to === 'running') {
      fields.push('startedAt', change.startedAt, 'expiresAt', change.expiresAt);
    }
    if (change.to === 'failed' && change.error) fields.push('error', JSON.stringify(change.error));
    const verdict = await this.#changeContainer(ref, change.fence, change.from, ended, fields);
    if (verdict === 'ok') {
      await before?.();
      await this.#tellContainer(ref, change);
    }
    return verdict;
  }

  /** Says again what a lost worker may not have said: a running desktop has started, an ended one has ended. */
  async tellContainerAgain(record: DesktopRecord): Promise<void> {
    const { fence, state, width, height, expiresAt = 0, error } = record;
    if (state === 'running') {
      await this.#tellContainer(record, { fence, to: state, startedAt: 0, expiresAt, width, height });
    } else if (state === 'failed') {
      await this.#tellContainer(record, { fence, to: state, error });
    } else if (state === 'stopped' || state === 'lost') {
      await this.#tellContainer(record, { fence, to: state });
    }
  }

  /** A live desktop counts against its owner's quota, and its record is kept, as long as this is said. */
  async touchContainer(ref: ContainerRef, fence: number): Promise<ContainerVerdict> {
    return this.#changeContainer(ref, fence, undefined, false, []);
  }

  /** Desktops that were ever placed on a host and are not yet forgotten. */
  async hostContainers(host: string): Promise<ContainerRef[]> {
    const members = await this.#redis.smembers(keys.hostContainers(host));
    return members.map((text) => {
      const slash = text.lastIndexOf('/');
      return { userId: text.slice(0, slash), containerId: text.slice(slash + 1) };
    });
  }

  async forgetContainer(host: string, ref: ContainerRef): Promise<void> {
    await this.#redis.srem(keys.hostContainers(host), member(ref));
  }

  // ---- inside ----------------------------------------------------------------------------------------------------

  async #tellEnd(ref: JobRef, end: JobEnd): Promise<void> {
    const data = end.state === 'completed' ? { result: end.result ?? null } : { error: end.error };
    const event = jobEvent(ref, terminalEvent(end.state), data);
    await this.#job(ref, [{ event, token: `end:${ref.run}` }]);
  }

  async #tellContainer(ref: ContainerRef, change: ContainerChange): Promise<void> {
    const { fence, to } = change;
    if (to === 'running') {
      const { width, height, expiresAt } = change;
      const data = { width, height, expiresAt: iso(expiresAt) };
      await this.#container(ref, 'container.started', `started:${fence}`, data, fence);
    } else if (to === 'stopping') {
      await this.#container(ref, 'container.stopping', 'stopping', {});
    } else if (to !== 'requested') {
      const data = to === 'failed' ? { error: change.error } : {};
      await this.#container(ref, `container.${to}`, 'end:container', data);
    }
  }

  async #changeJob(
    ref: JobRef,
    fence: number | undefined,
    ttlMs: number,
    fields: (string | number)[],
  ): Promise<JobChange> {
    const [verdict] = await this.#eval(CHANGE_JOB, jobKeys(ref), [fence ?? '', ref.run, ttlMs, ...fields]);
    return verdict as JobChange;
  }

  async #changeContainer(
    { userId, containerId }: ContainerRef,
    fence: number,
    from: ContainerState[] | undefined,
    ended: boolean,
    fields: (string | number)[],
  ): Promise<ContainerVerdict> {
    const args = [
      fence,
      from?.join(',') ?? '',
      ended ? ENDED_RECORD_TTL_MS : OPEN_RECORD_TTL_MS,
      ended ? '' : Date.now() + OUTSTANDING_MS,
      ...fields,
    ];
    const names = [keys.container(userId, containerId), keys.openContainers(userId)];
    const [verdict] = await this.#eval(CHANGE_CONTAINER, names, args);
    return verdict as ContainerVerdict;
  }

  #eval(
    { source, sha }: { source: string; sha: string },
    names: string[],
    args: (string | number)[],
  ): Promise<string[]> {
    return evalScript(this.#redis, source, sha, names, args) as Promise<string[]>;
  }

  /** A start's desktop is told of before anything else is told of it. */
  async #requested(ref: JobRef): Promise<void> {
    if (ref.kind === 'container.start') await this.#container(ref, 'container.requested', 'requested', {});
  }

  #job(ref: JobRef, events: Append[], fence?: number): Promise<void> {
    const subject: Subject = { userId: ref.userId, room: `job:${ref.jobId}` };
    return this.#publisher.publish(subject, events, fence);
  }

  #container(
    { userId, containerId }: ContainerRef,
    type: EventType,
    token: string,
    data: Record<string, unknown>,
    fence?: number,
  ): Promise<void> {
    const event: StoredEvent = { type, time: new Date().toISOString(), data: { containerId, ...data } };
    const subject: Subject = { userId, room: `container:${containerId}` };
    return this.#publisher.publish(subject, [{ event, token }], fence);
  }
}

const member = ({ userId, containerId }: ContainerRef): string => `${userId}/${containerId}`;

const jobKeys = ({ userId, jobId }: JobRef): string[] => [keys.job(userId, jobId), keys.openJobs(userId)];

const queuedEvent = (ref: JobRef): Append => ({
  event: jobEvent(ref, 'job.queued'),
  token: `queued:${ref.run}`,
});

function jobEvent(ref: JobRef, type: EventType, data: Record<string, unknown> = {}): StoredEvent {
  const { jobId, kind, containerId, run } = ref;
  return { type, run, time: new Date().toISOString(), data: { jobId, kind, containerId, ...data } };
}
