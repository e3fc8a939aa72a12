import { ACK_EVERY_BYTES, type FrameHead, VIEWER_WINDOW_BYTES } from '@warmwind/shared/screen';

/** How much of what it is sent may wait on the way to a viewer, once its speed is known, ms of its own speed. */
const QUEUE_MS = 250;
/** Weight of a new measurement of a viewer's speed. */
const WEIGHT = 0.3;

/** A frame that was sent, and when, ms. */
type Sent = { head: FrameHead; bytes: number; at: number };

/**
 * What one viewer has been sent and has not acknowledged. Deltas may fill a window: of `VIEWER_WINDOW_BYTES`, or less
 * once acknowledgements tell how fast the viewer is, so that what waits on its way does not grow old.
 */
export class Window {
  readonly #sent: Sent[] = [];
  #bytes = 0;
  #deltaBytes = 0;
  /** Shortest time from sending to acknowledgement, ms; creeps up, for ways change. */
  #delayMs = Number.POSITIVE_INFINITY;
  /** Bytes a ms while something was on the way all the time; 0: unknown. */
  #speed = 0;
  #ackedAt = 0;
  #busySinceAck = false;

  sent(frame: Sent): void {
    this.#sent.push(frame);
    this.#bytes += frame.bytes;
    if (frame.head.kind === 'delta') this.#deltaBytes += frame.bytes;
  }

  /** All up to this frame has arrived. */
  ack(epoch: number, seq: number, now: number): void {
    let acked = 0;
    let last: Sent | undefined;
    for (let sent = this.#sent[0]; sent && isUpTo(sent, epoch, seq); sent = this.#sent[0]) {
      this.#sent.shift();
      acked += sent.bytes;
      if (sent.head.kind === 'delta') this.#deltaBytes -= sent.bytes;
      last = sent;
    }
    if (!last) return;
    this.#bytes -= acked;
    this.#delayMs = Math.min(now - last.at, this.#delayMs + 1);
    if (this.#busySinceAck && now > this.#ackedAt) {
      const speed = acked / (now - this.#ackedAt);
      this.#speed = this.#speed === 0 ? speed : this.#speed + WEIGHT * (speed - this.#speed);
    }
    this.#ackedAt = now;
    this.#busySinceAck = this.#bytes > 0;
  }

  /** May no further delta be sent? */
  get full(): boolean {
    return this.#deltaBytes >= this.#most();
  }

  /** Is so little on the way that a key would be fresh when it arrives? */
  get drained(): boolean {
    return this.#bytes <= ACK_EVERY_BYTES;
  }

  #most(): number {
    if (this.#speed === 0) return VIEWER_WINDOW_BYTES;
    const wanted = this.#speed * (this.#delayMs + QUEUE_MS);
    return Math.min(Math.max(wanted, 2 * ACK_EVERY_BYTES), VIEWER_WINDOW_BYTES);
  }
}

const isUpTo = ({ head }: Sent, epoch: number, seq: number): boolean =>
  head.epoch < epoch || (head.epoch === epoch && head.seq <= seq);
