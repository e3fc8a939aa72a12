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

/** A sequence number before every frame: frames count from 0. */
const NO_FRAME = -1;

/**
 * One socket that watches one desktop. It is sent a keyframe, then the deltas that follow it without a gap.
 * Frames that do not fit into its window are dropped. Once it has caught up, it waits for the next keyframe.
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
  /** The last frame that was sent. `#seq` is `NO_FRAME` while the viewer needs a keyframe. */
  #epoch = 0;
  #seq = NO_FRAME;
  /** The newest text of the clipboard that has not been sent yet. */
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

  /** The viewer is a guest with a share link to this desktop. */
  get shared(): boolean {
    return this.socket.data.ticket.containerId !== undefined;
  }

  /** The viewer in the form of a holder of control. */
  get holder(): Requester {
    return asHolder({ id: this.id, userId: this.socket.data.ticket.sub, shared: this.shared });
  }

  /** The viewer is the desktop's owner and may take and grant control. */
  get grantsControl(): boolean {
    return this.mode === 'control' && !this.shared;
  }

  /** Restarts the idle time: the viewer uses control or has just received it. */
  active(): void {
    this.#activeAt = performance.now();
  }

  /** Whether the viewer has not used control for `CONTROL_IDLE_MS`; its control is then released. */
  get idle(): boolean {
    return performance.now() - this.#activeAt > CONTROL_IDLE_MS;
  }

  /**
   * Counts a request for control against the viewer's rate.
   *
   * @returns whether its rate allows to notify them
   */
  requests(): boolean {
    const now = performance.now();
    if (now - this.#requestedAt < CONTROL_REQUEST_EVERY_MS) return false;
    this.#requestedAt = now;
    return true;
  }

  /** Notifies the viewer that its input was dropped. */
  dropped(reason: DroppedReason, holder: Holder | null, count = 1): void {
    this.#dropped.add(this.containerId, reason, holder, count);
  }

  /** The viewer as the desktop's owner sees it. */
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

  /** Whether a keyframe that arrives now is sent to this viewer. */
  get acceptsKeyframe(): boolean {
    return this.#seq === NO_FRAME && this.#window.drained;
  }

  /**
   * Sends a delta, if the viewer has received the frame before it and has room for it.
   *
   * @returns whether it was sent
   */
  delta(frame: Frame): boolean {
    const { epoch, seq } = frame.head;
    const follows = this.#seq !== NO_FRAME && this.#seq + 1 === seq && this.#epoch === epoch;
    if (!follows || !this.#hasRoomFor(frame)) {
      this.requireKeyframe();
      return false;
    }
    this.#seq = seq;
    this.#send(frame);
    return true;
  }

  /**
   * Sends a keyframe, if the viewer has caught up.
   *
   * @returns whether it was sent
   */
  keyframe(frame: Frame): boolean {
    const { epoch, seq } = frame.head;
    if (this.#seq === seq && this.#epoch === epoch) return false;
    this.requireKeyframe();
    if (!this.acceptsKeyframe || this.#isUnread()) return false;
    [this.#epoch, this.#seq] = [epoch, seq];
    this.#send(frame);
    return true;
  }

  /**
   * Acknowledges all frames up to this one.
   *
   * @returns whether one of them was unacknowledged
   */
  ack(epoch: number, seq: number): boolean {
    const released = this.#window.ack(epoch, seq, performance.now());
    if (this.#pendingClipboard !== undefined) this.sendClipboard(this.#pendingClipboard);
    return released;
  }

  /** Sends no further delta before the next keyframe. */
  requireKeyframe(): void {
    this.#seq = NO_FRAME;
  }

  /**
   * Handles the viewer's own request for a keyframe.
   *
   * @returns whether its rate allows it
   */
  refresh(): boolean {
    const now = performance.now();
    if (now - this.#refreshedAt < LIMITS.refreshMs) return false;
    this.#refreshedAt = now;
    this.requireKeyframe();
    return true;
  }

  /** Sends the newest text of the desktop's clipboard. A guest with a link to view receives none. */
  sendClipboard(event: Prebuilt): void {
    if (this.shared && this.mode === 'view') return;
    const waits = this.#wire.unsentBytes > 0;
    this.#pendingClipboard = waits ? event : undefined;
    if (!waits) event.send(this.#wire);
  }

  /** Notifies the viewer that the stream has ended or that it no longer watches. */
  gone(reason: string): void {
    this.requireKeyframe();
    this.socket.emit('vnc:gone', { containerId: this.containerId, reason });
  }

  #hasRoomFor({ bytes }: Frame): boolean {
    return this.#window.fits(bytes) && !this.#isUnread();
  }

  /**
   * Whether the connection holds too many unsent bytes. They count even when the client acknowledges frames
   * that it has not read.
   */
  #isUnread(): boolean {
    return this.#wire.unsentBytes >= VIEWER_WINDOW_BYTES || !this.socket.data.outlet.takesFrames;
  }

  #send(frame: Frame): void {
    this.#window.sent(frame);
    frame.send(this.#wire);
  }
}
