import type { EndReason } from '../containers.ts';
import { createsContainers } from '../contract/registry.ts';
import { type EventType, type StoredEvent, terminalEvent } from '../events.ts';
import type { JobError } from '../jobs.ts';
import { iso } from '../times.ts';
import type { Append, Subject } from './events.ts';
import type { Publisher } from './publisher.ts';
import { type ContainerRef, containersOf, type JobEnd, type JobRef } from './records.ts';

/** What is told of a desktop that entered a state; times in ms. */
export type ContainerNews =
  | { to: 'requested' }
  | { to: 'stopping'; reason?: EndReason | undefined }
  | { to: 'running'; expiresAt: number; width: number; height: number }
  | ContainerEnd;
export type ContainerEnd =
  | { to: 'lost' }
  | { to: 'stopped'; reason?: EndReason | undefined }
  | { to: 'failed'; error: JobError | undefined };

/**
 * Tells rooms what the records say. Every event that matters comes once by its token, so saying it again is harmless: who
 * dies between a record and its event is made up for by whoever meets the run next.
 */
export class Teller {
  readonly #publisher: Publisher;

  constructor(publisher: Publisher) {
    this.#publisher = publisher;
  }

  /** A run waits, and the desktop it asks for is wanted. */
  async queued(ref: JobRef): Promise<void> {
    await Promise.all([this.#job(ref, [queuedEvent(ref)]), this.#requested(ref)]);
  }

  async active(ref: JobRef, fence: number, attempt: number): Promise<void> {
    const active = { event: jobEvent(ref, 'job.active', { attempt }), token: `active:${ref.run}:${fence}` };
    await Promise.all([this.#job(ref, [queuedEvent(ref), active], fence), this.#requested(ref)]);
  }

  /** @param seq rises within the fence; an older one is dropped */
  progress(ref: JobRef, fence: number, seq: number, percent: number, message?: string): Promise<void> {
    const event = jobEvent(ref, 'job.progress', { percent, ...(message ? { message } : {}) });
    return this.#job(ref, [{ event, seq }], fence);
  }

  /** @param seq rises within the fence, with those of progress */
  output(ref: JobRef, fence: number, seq: number, text: string, attempt: number): Promise<void> {
    const event = jobEvent(ref, 'job.output', { text, attempt });
    return this.#job(ref, [{ event, seq, private: true }], fence);
  }

  retrying(
    ref: JobRef,
    fence: number,
    data: { error: JobError; attemptsMade: number; delayMs: number },
  ): Promise<void> {
    const event = jobEvent(ref, 'job.retrying', data);
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

  /** A host has taken the desktop. */
  async placed(ref: ContainerRef, fence: number): Promise<void> {
    await this.#container(ref, 'container.starting', `starting:${fence}`, {}, fence);
  }

  /**
   * A desktop that gives its place up (`requested`) does so without an event.
   * @returns whether the room's log has it
   */
  async container(ref: ContainerRef, fence: number, news: ContainerNews): Promise<boolean> {
    if (news.to === 'running') {
      const { width, height, expiresAt } = news;
      const data = { width, height, expiresAt: iso(expiresAt) };
      return this.#container(ref, 'container.started', `started:${fence}`, data, fence);
    }
    if (news.to === 'stopping') return this.#container(ref, 'container.stopping', 'stopping', because(news));
    if (news.to === 'requested') return true;
    return this.#publisher.publish(containerSubject(ref), [containerEnd(ref, news)]);
  }

  /** The end of a desktop, of which nothing is kept for later. @returns whether the room's log has it */
  containerEndedNow(ref: ContainerRef, end: ContainerEnd): Promise<boolean> {
    return this.#publisher.append(containerSubject(ref), [containerEnd(ref, end)]);
  }

  /** A container is requested before anything else of it is published. */
  async #requested(ref: JobRef): Promise<void> {
    if (!createsContainers(ref.kind)) return;
    await Promise.all(
      containersOf(ref).map((container) =>
        this.#container(container, 'container.requested', 'requested', {}),
      ),
    );
  }

  async #job(ref: JobRef, events: Append[], fence?: number): Promise<void> {
    await this.#publisher.publish(subjectOf(ref), events, fence);
  }

  #container(
    ref: ContainerRef,
    type: EventType,
    token: string,
    data: Record<string, unknown>,
    fence?: number,
  ): Promise<boolean> {
    const event = containerEvent(ref, type, data);
    return this.#publisher.publish(containerSubject(ref), [{ event, token }], fence);
  }
}

const containerSubject = ({ userId, containerId }: ContainerRef): Subject => ({
  userId,
  room: `container:${containerId}`,
});

const containerEvent = (
  { containerId }: ContainerRef,
  type: EventType,
  data: Record<string, unknown>,
): StoredEvent => ({ type, time: new Date().toISOString(), data: { containerId, ...data } });

const because = ({ reason }: { reason?: EndReason | undefined }) => (reason ? { reason } : {});

const containerEnd = (ref: ContainerRef, end: ContainerEnd): Append => {
  const data = end.to === 'failed' ? { error: end.error } : end.to === 'stopped' ? because(end) : {};
  return { event: containerEvent(ref, `container.${end.to}`, data), token: 'end:container' };
};

const subjectOf = ({ userId, jobId }: JobRef): Subject => ({ userId, room: `job:${jobId}` });

const endEvent = (ref: JobRef, end: JobEnd, fence: number): Append => {
  const data = end.state === 'completed' ? { result: end.result ?? null } : { error: end.error };
  return { event: jobEvent(ref, terminalEvent(end.state), data), token: `end:${ref.run}`, seq: fence };
};

const queuedEvent = (ref: JobRef): Append => ({
  event: jobEvent(ref, 'job.queued'),
  token: `queued:${ref.run}`,
});

function jobEvent(ref: JobRef, type: EventType, data: Record<string, unknown> = {}): StoredEvent {
  const { jobId, kind, containerId, run } = ref;
  return { type, run, time: new Date().toISOString(), data: { jobId, kind, containerId, ...data } };
}
