import { setTimeout as sleep } from 'node:timers/promises';
import { isTerminal, type JobState } from '@warmwind/shared/contract/jobs';
import { type Envelope, isTerminalEvent } from '@warmwind/shared/contract/rooms';
import { isContainerEvent, JOB_STATE_AFTER } from '@warmwind/shared/contract/states';
import type { Client } from './client.ts';

/** An end that a watcher was told of; `snapshot`: by the present state, as its event was lost with the realtime Redis. */
export type SeenEnd = { run: number; state: JobState; snapshot: boolean };

/** Follows one job's server-sent events from the edge, and comes back after the last it knows whenever it is cut off. */
export class Watcher {
  readonly user: string;
  readonly jobId: string;
  readonly ends: SeenEnd[] = [];
  /** How often it had to come back. */
  interruptions = 0;
  /** The stream said by itself that all is said. */
  over = false;
  #lastId: string | undefined;
  #seen = new Set<string>();
  /** Events that came twice. */
  readonly twice: string[] = [];

  constructor(user: string, jobId: string) {
    this.user = user;
    this.jobId = jobId;
  }

  /** Until the stream has ended after an end, or `withinMs` have passed. */
  async watch(client: Client, withinMs: number): Promise<void> {
    const deadline = Date.now() + withinMs;
    while (!this.over && Date.now() < deadline) {
      try {
        const signal = AbortSignal.timeout(deadline - Date.now());
        const known = this.#lastId === undefined ? {} : { after: this.#lastId };
        for await (const event of client.events(this.user, this.jobId, { ...known, signal })) {
          this.#take(event);
        }
        this.over = this.ends.length > 0;
      } catch {
        // Cut off, or not there for a moment.
      }
      if (this.over) return;
      this.interruptions += 1;
      await sleep(300);
    }
  }

  #take(event: Envelope): void {
    if (event.type === 'container.snapshot' || isContainerEvent(event)) {
      throw new Error(`not an event of a job: ${event.type}`);
    }
    const { id, type, run } = event;
    this.#lastId = id;
    const snapshot = type === 'job.snapshot';
    if (this.#seen.has(id) && !snapshot) this.twice.push(`${type} ${id}`);
    this.#seen.add(id);
    const state = event.type === 'job.snapshot' ? event.data.state : JOB_STATE_AFTER[event.type];
    if (state === undefined) return;
    const known = this.ends.some((end) => end.run === run && end.state === state);
    // Who was cut off after an end and comes back to a log that was lost is told the present state.
    if (isTerminalEvent(type) || (snapshot && isTerminal(state) && !known)) {
      this.ends.push({ run, state, snapshot });
    }
  }
}
