import type { ContainerState } from '../containers.ts';
import { type EventType, type StoredEvent, terminalEvent } from '../events.ts';
import { iso, type JobError } from '../jobs.ts';
import type { Append, Subject } from './events.ts';
import type { Publisher } from './publisher.ts';
import type { ContainerRef, JobEnd, JobRef } from './records.ts';

/** What is told of a desktop that entered a state; times in ms. */
export type ContainerNews =
  | { to: 'requested' | 'stopping' | 'stopped' | 'lost' }
  | { to: 'running'; expiresAt: number; width: number; height: number }
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

  /** @param fence of who took the run last */
  ended(ref: JobRef, end: JobEnd, fence: number): Promise<void> {
    const data = end.state === 'completed' ? { result: end.result ?? null } : { error: end.error };
    return this.#job(ref, [
      { event: jobEvent(ref, terminalEvent(end.state), data), token: `end:${ref.run}`, seq: fence },
    ]);
  }

  /** A host has taken the desktop. */
  placed(ref: ContainerRef, fence: number): Promise<void> {
    return this.#container(ref, 'container.starting', `starting:${fence}`, {}, fence);
  }

  /** A desktop that gives its place up (`requested`) does so without a word. */
  async container(ref: ContainerRef, fence: number, news: ContainerNews): Promise<void> {
    const { to } = news;
    if (to === 'running') {
      const { width, height, expiresAt } = news;
      const data = { width, height, expiresAt: iso(expiresAt) };
      await this.#container(ref, 'container.started', `started:${fence}`, data, fence);
    } else if (to === 'stopping') {
      await this.#container(ref, 'container.stopping', 'stopping', {});
    } else if (to !== 'requested') {
      const data = to === 'failed' ? { error: news.error } : {};
      await this.#container(ref, `container.${to satisfies ContainerState}`, 'end:container', data);
    }
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

const queuedEvent = (ref: JobRef): Append => ({
  event: jobEvent(ref, 'job.queued'),
  token: `queued:${ref.run}`,
});

function jobEvent(ref: JobRef, type: EventType, data: Record<string, unknown> = {}): StoredEvent {
  const { jobId, kind, containerId, run } = ref;
  return { type, run, time: new Date().toISOString(), data: { jobId, kind, containerId, ...data } };
}
