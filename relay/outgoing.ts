import { setTimeout as sleep } from 'node:timers/promises';
import { LIMITS } from './limits.ts';
import type { Metrics } from './metrics.ts';

/** Bytes that wait to be taken by clients: events of rooms, and frames of screens. */
type Bytes = { events: number; frames: number };

/** The connection as its outlet sees it. `close` drops what waits, and lets the client come back and resume. */
export type OutletTarget = { heldBytes: () => number; close: () => void };

/** Pauses between two looks whether a connection takes more, ms. */
const LOOK_AGAIN_MS = [1, 2, 5, 10, 20, 50];

/**
 * Bounds in bytes what waits for clients that do not read: for each connection, each subject (a user, or a share link) and
 * the node. A subject that is alone may use all that one may; when many have something waiting, the node's is shared.
 */
export class Outgoing {
  readonly #metrics: Metrics;
  readonly #outlets = new Set<Outlet>();
  #bySubject = new Map<string, Bytes>();
  #total: Bytes = { events: 0, frames: 0 };
  readonly #timer: NodeJS.Timeout;

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
    this.#timer = setInterval(() => this.#measure(), LIMITS.measureMs).unref();
    metrics.watchOutgoing(() => this.#total);
  }

  open(subject: string, target: OutletTarget): Outlet {
    const outlet = new Outlet(subject, target, this, () => this.#outlets.delete(outlet));
    this.#outlets.add(outlet);
    return outlet;
  }

  /** May a further event wait for this subject's clients? */
  allowsEvents(subject: string): boolean {
    const { events } = this.#bySubject.get(subject) ?? NONE;
    return events === 0 || events < this.#share(LIMITS.subjectEventBytes, LIMITS.nodeEventBytes);
  }

  /** May a further frame wait for this subject's viewers? */
  allowsFrames(subject: string): boolean {
    const { frames } = this.#bySubject.get(subject) ?? NONE;
    return frames === 0 || frames < this.#share(LIMITS.subjectFrameBytes, LIMITS.nodeFrameBytes);
  }

  /** Counts events that were queued since the last measurement. */
  addEvents(subject: string, bytes: number): void {
    const held = this.#bySubject.get(subject) ?? { ...NONE };
    held.events += bytes;
    this.#total.events += bytes;
    this.#bySubject.set(subject, held);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #share(most: number, ofNode: number): number {
    return Math.min(most, ofNode / Math.max(1, this.#bySubject.size));
  }

  /** Looks at what really waits, and closes connections that take nothing of it. */
  #measure(): void {
    const now = performance.now();
    const bySubject = new Map<string, Bytes>();
    const total = { ...NONE };
    for (const outlet of this.#outlets) {
      const { events, frames } = outlet.measure(now);
      if (events + frames === 0) continue;
      const { subject } = outlet;
      const crowded = !this.allowsEvents(subject) || !this.allowsFrames(subject);
      if (outlet.stuckMs(now) > (crowded ? LIMITS.crowdedSlowMs : LIMITS.slowMs)) {
        this.#metrics.slow.inc();
        outlet.abort();
        continue;
      }
      const held = bySubject.get(subject) ?? { ...NONE };
      bySubject.set(subject, { events: held.events + events, frames: held.frames + frames });
      total.events += events;
      total.frames += frames;
    }
    this.#bySubject = bySubject;
    this.#total = total;
  }
}

const NONE: Bytes = { events: 0, frames: 0 };

/** The way out to one connection. */
export class Outlet {
  readonly subject: string;
  readonly #target: OutletTarget;
  readonly #outgoing: Outgoing;
  readonly #onClose: () => void;
  #closed = false;
  /** Bytes of events among what waits, at most. */
  #events = 0;
  /** What waited at the last measurement, and when it was last seen to shrink or to be nothing. */
  #heldBefore = 0;
  #takenAt = performance.now();
  #lastTurn: Promise<unknown> = Promise.resolve();

  constructor(subject: string, target: OutletTarget, outgoing: Outgoing, onClose: () => void) {
    this.subject = subject;
    this.#target = target;
    this.#outgoing = outgoing;
    this.#onClose = onClose;
  }

  /** May a further event be sent? */
  get ready(): boolean {
    return this.#target.heldBytes() < LIMITS.socketBytes && this.#outgoing.allowsEvents(this.subject);
  }

  /** May a further frame be sent? */
  get takesFrames(): boolean {
    return this.#outgoing.allowsFrames(this.subject);
  }

  /** An event of so many bytes was sent. */
  sent(bytes: number): void {
    if (this.#target.heldBytes() === 0) return;
    this.#events += bytes;
    this.#outgoing.addEvents(this.subject, bytes);
  }

  /**
   * Runs a task once more may be sent, one after the other. Rejects when the connection is closed before that.
   */
  turn<T>(task: () => Promise<T>): Promise<T> {
    const run = this.#lastTurn.then(() => this.#drained()).then(task);
    this.#lastTurn = run.catch(() => undefined);
    return run;
  }

  measure(now: number): Bytes {
    const held = this.#target.heldBytes();
    if (held < this.#heldBefore || held === 0) this.#takenAt = now;
    this.#heldBefore = held;
    this.#events = Math.min(this.#events, held);
    return { events: this.#events, frames: held - this.#events };
  }

  /** For how long nothing of what waits was taken, ms. */
  stuckMs(now: number): number {
    return now - this.#takenAt;
  }

  abort(): void {
    this.#target.close();
    this.close();
  }

  /** The connection has ended. */
  close(): void {
    this.#closed = true;
    this.#onClose();
  }

  async #drained(): Promise<void> {
    for (let looks = 0; !this.#closed && !this.ready; looks++) {
      await sleep(LOOK_AGAIN_MS[Math.min(looks, LOOK_AGAIN_MS.length - 1)]);
    }
    if (this.#closed) throw new Error('the connection is closed');
  }
}
