import { setTimeout as sleep } from 'node:timers/promises';
import { isTerminal, type JobState } from '@warmwind/shared/contract/jobs';
import { type Envelope, isTerminalEvent } from '@warmwind/shared/contract/rooms';
import { isContainerEvent, JOB_STATE_AFTER } from '@warmwind/shared/contract/states';
import type { Client } from './client.ts';

/** An end that a watcher received; `snapshot`: as the present state, as its event was lost. */
export type SeenEnd = { run: number; state: JobState; snapshot: boolean };

/**
 * Follows one job's server-sent events from the edge; reconnects with its last event id when it is cut off.
 */
export class Watcher {
  readonly user: string;
  readonly jobId: string;
  readonly ends: SeenEnd[] = [];
  /** How often it had to reconnect. */
  interruptions = 0;
  /** The edge closed the stream after an end. */
  over = false;
  #lastId: string | undefined;
  #seen = new Set<string>();
  /** Events that it received twice. */
  readonly twice: string[] = [];

  constructor(user: string, jobId: string) {
    this.user = user;
    this.jobId = jobId;
  }

  /** Follows the stream until it has closed after an end, or `withinMs` have passed. */
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
        // Cut off, or unavailable for a moment.
      }
      if (this.over) return;
      this.interruptions += 1;
      await sleep(300);
    }
  }

  #take(event: Envelope): void {
    const isOther = event.type === 'container.snapshot' || event.type === 'container.action';
    if (isOther || event.type === 'container.extended' || isContainerEvent(event)) {
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
    // A watcher that was cut off after an end receives the present state when the log is lost.
    if (isTerminalEvent(type) || (snapshot && isTerminal(state) && !known)) {
      this.ends.push({ run, state, snapshot });
    }
  }
}
