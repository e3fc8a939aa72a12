import { setTimeout as sleep } from 'node:timers/promises';
import { LIMITS } from './limits.ts';
import type { Metrics } from './metrics.ts';

/** Unsent bytes for clients: events of rooms, and frames of screens. */
type Bytes = { events: number; frames: number };

/**
 * The connection behind an outlet. `close` drops the unsent bytes and lets the client reconnect and resume.
 */
export type OutletTarget = { heldBytes: () => number; close: () => void };

/** Pauses between two checks whether a connection takes more, ms. */
const RECHECK_MS = [1, 2, 5, 10, 20, 50];

/**
 * Bounds the unsent bytes for clients that do not read: of each connection, each subject (a user or a share
 * link) and the node. The node's bound is shared equally between the subjects that have unsent bytes.
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

  /** Checks whether one more event may be queued for this subject's clients. */
  allowsEvents(subject: string): boolean {
    const { events } = this.#bySubject.get(subject) ?? NONE;
    return events === 0 || events < this.#share(LIMITS.subjectEventBytes, LIMITS.nodeEventBytes);
  }

  /** Checks whether one more frame may be queued for this subject's viewers. */
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

  /** Measures the unsent bytes, and closes connections that read none of theirs. */
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

/** Admits events and frames to one connection within the bounds. */
export class Outlet {
  readonly subject: string;
  readonly #target: OutletTarget;
  readonly #outgoing: Outgoing;
  readonly #onClose: () => void;
  #closed = false;
  /** Upper bound on the events among the unsent bytes. */
  #events = 0;
  /** The unsent bytes at the last measurement, and the last time at which they shrank or were none. */
  #lastHeld = 0;
  #progressAt = performance.now();
  #lastTurn: Promise<unknown> = Promise.resolve();

  constructor(subject: string, target: OutletTarget, outgoing: Outgoing, onClose: () => void) {
    this.subject = subject;
    this.#target = target;
    this.#outgoing = outgoing;
    this.#onClose = onClose;
  }

  /** Whether one more event may be sent. */
  get ready(): boolean {
    return this.#target.heldBytes() < LIMITS.socketBytes && this.#outgoing.allowsEvents(this.subject);
  }

  /** Whether one more frame may be sent. */
  get takesFrames(): boolean {
    return this.#outgoing.allowsFrames(this.subject);
  }

  /** Counts an event that was sent. */
  sent(bytes: number): void {
    if (this.#target.heldBytes() === 0) return;
    this.#events += bytes;
    this.#outgoing.addEvents(this.subject, bytes);
  }

  /**
   * Runs a task once more may be sent, one task after the other.
   * @throws Error when the connection is closed before that
   */
  turn<T>(task: () => Promise<T>): Promise<T> {
    const run = this.#lastTurn.then(() => this.#drained()).then(task);
    this.#lastTurn = run.catch(() => undefined);
    return run;
  }

  measure(now: number): Bytes {
    const held = this.#target.heldBytes();
    if (held < this.#lastHeld || held === 0) this.#progressAt = now;
    this.#lastHeld = held;
    this.#events = Math.min(this.#events, held);
    return { events: this.#events, frames: held - this.#events };
  }

  /** Time for which the client has read none of its unsent bytes, ms. */
  stuckMs(now: number): number {
    return now - this.#progressAt;
  }

  abort(): void {
    this.#target.close();
    this.close();
  }

  /** Forgets the connection, which has ended. */
  close(): void {
    this.#closed = true;
    this.#onClose();
  }

  async #drained(): Promise<void> {
    for (let checks = 0; !this.#closed && !this.ready; checks++) {
      await sleep(RECHECK_MS[Math.min(checks, RECHECK_MS.length - 1)]);
    }
    if (this.#closed) throw new Error('the connection is closed');
  }
}
