import { newId } from '@warmwind/shared/contract/ids';
import {
  CONTROL_IDLE_MS,
  CONTROL_REQUEST_EVERY_MS,
  type DroppedReason,
  type Holder,
  type Requester,
  type Viewer as SeenViewer,
  VIEWER_WINDOW_BYTES,
} from '@warmwind/shared/contract/screen';
import { LIMITS } from '../limits.ts';
import type { Prebuilt } from '../sockets/prebuilt.ts';
import type { RelaySocket } from '../sockets/socket.ts';
import type { Wire } from '../sockets/wire.ts';
import { asHolder } from './control.ts';
import type { Dropped } from './dropped.ts';
import type { Frame } from './frame.ts';
import { Window } from './window.ts';

/** Frames count from 0. */
const NONE = -1;

/**
 * One socket that watches one desktop. It is sent a key, then the deltas that follow it without a gap. What does not fit
 * into its window is left out; when it has caught up it waits for the next key.
 */
export class Viewer {
  /** Unique to the socket and desktop. */
  readonly id = newId();
  readonly containerId: string;
  readonly socket: RelaySocket;
  readonly #since = new Date().toISOString();
  readonly #wire: Wire;
  readonly #dropped: Dropped;
  readonly #window = new Window();
  /** The frame it is at; no `seq` while it lacks a key. */
  #epoch = 0;
  #seq = NONE;
  /** The newest clipboard that it has not been sent. */
  #pendingClipboard: Prebuilt | undefined;
  #refreshedAt = Number.NEGATIVE_INFINITY;
  #activeAt = Number.NEGATIVE_INFINITY;
  #requestedAt = Number.NEGATIVE_INFINITY;

  constructor(containerId: string, socket: RelaySocket, dropped: Dropped) {
    this.containerId = containerId;
    this.#dropped = dropped;
    this.socket = socket;
    this.#wire = socket.data.wire;
  }

  get mode(): SeenViewer['mode'] {
    return this.socket.data.ticket.mode;
  }

  /** It came by a link to this one desktop. */
  get shared(): boolean {
    return this.socket.data.ticket.containerId !== undefined;
  }

  /** Whose it is as everybody may see it. */
  get holder(): Requester {
    return asHolder({ id: this.id, userId: this.socket.data.ticket.sub, shared: this.shared });
  }

  /** It is the desktop's owner and may act: it takes control, and grants it. */
  get governs(): boolean {
    return this.mode === 'control' && !this.shared;
  }

  /** It uses control, or has just got it. */
  active(): void {
    this.#activeAt = performance.now();
  }

  /** Has it not used control for so long that it loses it? */
  get idle(): boolean {
    return performance.now() - this.#activeAt > CONTROL_IDLE_MS;
  }

  /** It asks others for control. → may that be passed on? */
  requests(): boolean {
    const now = performance.now();
    if (now - this.#requestedAt < CONTROL_REQUEST_EVERY_MS) return false;
    this.#requestedAt = now;
    return true;
  }

  /** Input of it was dropped: it is notified of how much. */
  dropped(reason: DroppedReason, holder: Holder | null, count = 1): void {
    this.#dropped.add(this.containerId, reason, holder, count);
  }

  get seen(): Omit<SeenViewer, 'control'> {
    const { sub, jti } = this.socket.data.ticket;
    return {
      id: this.id,
      userId: sub,
      ticketId: jti,
      shared: this.shared,
      mode: this.mode,
      since: this.#since,
    };
  }

  /** Would a key that comes now be sent? */
  get waits(): boolean {
    return this.#seq === NONE && this.#window.drained;
  }

  /** → was it sent? */
  delta(frame: Frame): boolean {
    const { epoch, seq } = frame.head;
    const follows = this.#seq !== NONE && this.#seq + 1 === seq && this.#epoch === epoch;
    if (!follows || !this.#takes(frame)) {
      this.requireKeyframe();
      return false;
    }
    this.#seq = seq;
    this.#send(frame);
    return true;
  }

  /** → was it sent? */
  key(frame: Frame): boolean {
    const { epoch, seq } = frame.head;
    if (this.#seq === seq && this.#epoch === epoch) return false;
    this.requireKeyframe();
    if (!this.waits || this.#isUnread()) return false;
    [this.#epoch, this.#seq] = [epoch, seq];
    this.#send(frame);
    return true;
  }

  /** All up to this frame has arrived. → is that news? */
  ack(epoch: number, seq: number): boolean {
    const released = this.#window.ack(epoch, seq, performance.now());
    if (this.#pendingClipboard !== undefined) this.sendClipboard(this.#pendingClipboard);
    return released;
  }

  /** From here on it lacks a key. */
  requireKeyframe(): void {
    this.#seq = NONE;
  }

  /** It asks for a key itself. → may it? */
  refresh(): boolean {
    const now = performance.now();
    if (now - this.#refreshedAt < LIMITS.refreshMs) return false;
    this.#refreshedAt = now;
    this.requireKeyframe();
    return true;
  }

  /** The desktop's clipboard. Only the newest text matters, and whoever watches by a link to view is not told it. */
  sendClipboard(event: Prebuilt): void {
    if (this.shared && this.mode === 'view') return;
    const waits = this.#wire.unsentBytes > 0;
    this.#pendingClipboard = waits ? event : undefined;
    if (!waits) event.send(this.#wire);
  }

  /** The stream ended, or is watched no longer. */
  gone(reason: string): void {
    this.requireKeyframe();
    this.socket.emit('vnc:gone', { containerId: this.containerId, reason });
  }

  #takes({ bytes }: Frame): boolean {
    return this.#window.fits(bytes) && !this.#isUnread();
  }

  /** Acknowledgements may lie: what the connection has not taken counts in any case. */
  #isUnread(): boolean {
    return this.#wire.unsentBytes >= VIEWER_WINDOW_BYTES || !this.socket.data.outlet.takesFrames;
  }

  #send(frame: Frame): void {
    this.#window.sent(frame);
    frame.send(this.#wire);
  }
}
