import { briefExit, type ContainerExit, type EndReason, type PausedBy } from '../../contract/containers.ts';
import type { JobError, Waiting } from '../../contract/jobs.ts';
import { createsContainers } from '../../contract/registry.ts';
import { type StoredEvent, terminalEvent } from '../../contract/rooms.ts';
import { iso } from '../../runtime/times.ts';
import { type ContainerRef, containersOf, type JobRef } from '../refs.ts';
import type { JobEnd } from './ended-runs.ts';
import type { Append, Subject } from './event-log.ts';
import type { Publisher } from './publisher.ts';

/** The state that a desktop entered, with the data of its event; times in ms. */
export type ContainerUpdate =
  | { to: 'requested' }
  | { to: 'stopping'; reason?: EndReason | undefined }
  | { to: 'running'; expiresAt: number; width: number; height: number; warm?: boolean | undefined }
  | { to: 'paused'; by: PausedBy; at: number }
  | { to: 'resumed'; at: number }
  | { to: 'extended'; expiresAt: number }
  | ContainerEnd;
/** Only these end a room: they share the token of the end. */
export type ContainerEnd =
  | { to: 'stopped' | 'lost'; reason?: EndReason | undefined }
  | { to: 'failed'; error: JobError | undefined; exit?: ContainerExit | undefined };

/** How far a run is, percent; `waiting`: why a start does not advance. */
export type Progress = { percent: number; message?: string | undefined; waiting?: Waiting | undefined };

/** A stream of a program, and an offset in bytes for each. */
export type OutputStream = 'stdout' | 'stderr';
export type OutputOffsets = Record<OutputStream, number>;
/** The bytes of a stream between two offsets. */
export type OutputPiece = { stream: OutputStream; start: number; end: number } & (
  | { text: string }
  | { base64: string }
);

/**
 * Publishes the events of records to rooms. Every event that matters is appended once by its token, so
 * publishing it again is harmless: when a process dies between a record and its event, the next process that
 * handles the run publishes the event.
 */
export class JobEvents {
  readonly #publisher: Publisher;

  constructor(publisher: Publisher) {
    this.#publisher = publisher;
  }

  /** Publishes that a run waits, and that its desktops are requested. */
  async queued(ref: JobRef): Promise<void> {
    await Promise.all([this.#job(ref, [queuedEvent(ref)]), this.#requested(ref)]);
  }

  async active(ref: JobRef, fence: number, attempt: number): Promise<void> {
    const event: StoredEvent = { type: 'job.active', ...now(ref), data: { ...ofJob(ref), attempt } };
    const active = { event, token: `active:${ref.run}:${fence}` };
    await Promise.all([this.#job(ref, [queuedEvent(ref), active], fence), this.#requested(ref)]);
  }

  /** @param seq rises within the fence; an older one is dropped */
  progress(ref: JobRef, fence: number, seq: number, progress: Progress): Promise<void> {
    const { percent, message, waiting } = progress;
    const data = { ...ofJob(ref), percent, ...(message ? { message } : {}), ...(waiting ? { waiting } : {}) };
    return this.#job(ref, [{ event: { type: 'job.progress', ...now(ref), data }, seq }], fence);
  }

  /** @param seq rises within the fence, with those of progress */
  output(ref: JobRef, fence: number, seq: number, text: string, attempt: number): Promise<void> {
    const event: StoredEvent = { type: 'job.output', ...now(ref), data: { ...ofJob(ref), text, attempt } };
    return this.#job(ref, [{ event, seq, private: true }], fence);
  }

  /**
   * Publishes a piece of a program's output now or not at all.
   * @returns whether it is new to the log; also `false` while the realtime Redis does not answer
   */
  async programOutput(ref: JobRef, fence: number, piece: OutputPiece, attempt: number): Promise<boolean> {
    const { start, end, stream, ...content } = piece;
    const data = { ...ofJob(ref), stream, offset: start, ...content, attempt };
    const part = { stream: streamOf(ref, stream), start, end };
    const event: StoredEvent = { type: 'job.output', ...now(ref), data };
    return (await this.#publisher.tryPublish(subjectOf(ref), [{ event, part, private: true }], fence)) > 0;
  }

  /**
   * The offsets up to which the job's log has the output of the run's program.
   * @returns `undefined` while the realtime Redis does not answer
   */
  async outputEnds(ref: JobRef): Promise<OutputOffsets | undefined> {
    const streams = [streamOf(ref, 'stdout'), streamOf(ref, 'stderr')];
    const ends = await this.#publisher.streamEnds(subjectOf(ref), streams);
    return ends && { stdout: ends[0] ?? 0, stderr: ends[1] ?? 0 };
  }

  retrying(
    ref: JobRef,
    fence: number,
    data: { error: JobError; attemptsMade: number; delayMs: number },
  ): Promise<void> {
    const event: StoredEvent = { type: 'job.retrying', ...now(ref), data: { ...ofJob(ref), ...data } };
    return this.#job(ref, [{ event, token: `retrying:${ref.run}:${fence}` }], fence);
  }

  /**
   * @param fence of the last holder of the run
   * @returns whether the room's log has it
   */
  ended(ref: JobRef, end: JobEnd, fence: number): Promise<boolean> {
    return this.#publisher.publish(subjectOf(ref), [endEvent(ref, end, fence)]);
  }

  /** Like {@link ended}, but nothing is kept for later. */
  endedNow(ref: JobRef, end: JobEnd, fence: number): Promise<boolean> {
    return this.#publisher.append(subjectOf(ref), [endEvent(ref, end, fence)]);
  }

  /** Publishes that a host has taken the desktop. */
  async starting(ref: ContainerRef, fence: number): Promise<void> {
    const event: StoredEvent = { type: 'container.starting', time: iso(Date.now()), data: ofContainer(ref) };
    await this.#container(ref, event, `starting:${fence}`, fence);
  }

  /**
   * Publishes the update of a desktop. `requested` (its host released it) has no event.
   * @returns whether the room's log has it
   */
  async container(ref: ContainerRef, fence: number, update: ContainerUpdate): Promise<boolean> {
    const time = iso(Date.now());
    const data = ofContainer(ref);
    switch (update.to) {
      case 'requested':
        return true;
      case 'running': {
        const { width, height, expiresAt, warm } = update;
        const started = { ...data, width, height, expiresAt: iso(expiresAt), ...(warm ? { warm } : {}) };
        const event: StoredEvent = { type: 'container.started', time, data: started };
        return this.#container(ref, event, `started:${fence}`, fence);
      }
      case 'stopping': {
        const event: StoredEvent = {
          type: 'container.stopping',
          time,
          data: { ...data, ...because(update) },
        };
        return this.#container(ref, event, 'stopping');
      }
      case 'paused': {
        const { by, at } = update;
        const event: StoredEvent = { type: 'container.paused', time, data: { ...data, by } };
        return this.#container(ref, event, `paused:${fence}:${at}`, fence);
      }
      case 'resumed': {
        const event: StoredEvent = { type: 'container.resumed', time, data };
        return this.#container(ref, event, `resumed:${fence}:${update.at}`, fence);
      }
      case 'extended': {
        const expiresAt = iso(update.expiresAt);
        const event: StoredEvent = { type: 'container.extended', time, data: { ...data, expiresAt } };
        return this.#container(ref, event, `extended:${fence}:${update.expiresAt}`, fence);
      }
      default:
        return this.#publisher.publish(containerSubject(ref), [containerEnd(ref, update)]);
    }
  }

  /**
   * Publishes the end of a desktop; nothing is kept for later.
   * @returns whether the room's log has it
   */
  containerEndedNow(ref: ContainerRef, end: ContainerEnd): Promise<boolean> {
    return this.#publisher.append(containerSubject(ref), [containerEnd(ref, end)]);
  }

  /** Publishes `container.requested`, which precedes every other event of a container. */
  async #requested(ref: JobRef): Promise<void> {
    if (!createsContainers(ref.kind)) return;
    await Promise.all(
      containersOf(ref).map((container) => {
        const time = iso(Date.now());
        const event: StoredEvent = { type: 'container.requested', time, data: ofContainer(container) };
        return this.#container(container, event, 'requested');
      }),
    );
  }

  async #job(ref: JobRef, events: Append[], fence?: number): Promise<void> {
    await this.#publisher.publish(subjectOf(ref), events, fence);
  }

  #container(ref: ContainerRef, event: StoredEvent, token: string, fence?: number): Promise<boolean> {
    return this.#publisher.publish(containerSubject(ref), [{ event, token }], fence);
  }
}

const containerSubject = ({ userId, containerId }: ContainerRef): Subject => ({
  userId,
  room: `container:${containerId}`,
});

const ofContainer = ({ containerId }: ContainerRef) => ({ containerId });

const because = ({ reason }: { reason?: EndReason | undefined }) => (reason ? { reason } : {});

const containerEnd = (ref: ContainerRef, end: ContainerEnd): Append => ({
  event: containerEndEvent(ref, end),
  token: 'end:container',
});

function containerEndEvent(ref: ContainerRef, end: ContainerEnd): StoredEvent {
  const time = iso(Date.now());
  const data = ofContainer(ref);
  switch (end.to) {
    case 'stopped':
      return { type: 'container.stopped', time, data: { ...data, ...because(end) } };
    case 'failed':
      return {
        type: 'container.failed',
        time,
        data: { ...data, error: end.error, ...(end.exit ? { exit: briefExit(end.exit) } : {}) },
      };
    case 'lost':
      return { type: 'container.lost', time, data: { ...data, ...because(end) } };
  }
}

const subjectOf = ({ userId, jobId }: JobRef): Subject => ({ userId, room: `job:${jobId}` });
/** Offsets of each run start at 0. */
const streamOf = ({ run }: JobRef, stream: OutputStream): string => `${run}:${stream}`;
const now = ({ run }: JobRef) => ({ run, time: iso(Date.now()) });
const ofJob = ({ jobId, kind, containerId }: JobRef) => ({ jobId, kind, containerId });

const endEvent = (ref: JobRef, end: JobEnd, fence: number): Append => ({
  event:
    end.state === 'completed'
      ? { type: 'job.completed', ...now(ref), data: { ...ofJob(ref), result: end.result ?? null } }
      : { type: terminalEvent(end.state), ...now(ref), data: { ...ofJob(ref), error: end.error } },
  token: `end:${ref.run}`,
  seq: fence,
});

const queuedEvent = (ref: JobRef): Append => ({
  event: { type: 'job.queued', ...now(ref), data: ofJob(ref) },
  token: `queued:${ref.run}`,
});
