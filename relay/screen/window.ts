import { ACK_EVERY_BYTES, type FrameHead, VIEWER_WINDOW_BYTES } from '@warmwind/shared/screen';

/** How much of what it is sent may wait on the way to a viewer, once its speed is known, ms of its own speed. */
const QUEUE_MS = 250;
/** A viewer's speed is measured over at least this long: acknowledgements come in bursts. Weight of a new measurement. */
const MEASURE_MS = 200;
const WEIGHT = 0.5;

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
  /** What was acknowledged since when, with something on the way all the time. */
  #measured: { bytes: number; since: number } | undefined;

  sent(frame: Sent): void {
    this.#sent.push(frame);
    this.#bytes += frame.bytes;
    if (frame.head.kind === 'delta') this.#deltaBytes += frame.bytes;
  }

  /** All up to this frame has arrived. */
  ack(epoch: number, seq: number, now: number): void {
    const next = this.#sent.findIndex((sent) => !isUpTo(sent, epoch, seq));
    const arrived = this.#sent.splice(0, next === -1 ? this.#sent.length : next);
    const last = arrived.at(-1);
    if (!last) return;
    let acked = 0;
    for (const { head, bytes } of arrived) {
      acked += bytes;
      if (head.kind === 'delta') this.#deltaBytes -= bytes;
    }
    this.#bytes -= acked;
    this.#delayMs = Math.min(now - last.at, this.#delayMs + 1);
    this.#measure(acked, now);
  }

  /** May a further delta be sent? One that is larger than the window only when no other is on the way. */
  fits(bytes: number): boolean {
    return this.#deltaBytes === 0 || this.#deltaBytes + bytes <= this.#most();
  }

  /** Is so little on the way that a key would be fresh when it arrives? */
  get drained(): boolean {
    return this.#bytes <= ACK_EVERY_BYTES;
  }

  #measure(acked: number, now: number): void {
    const measured = this.#measured;
    if (measured) {
      measured.bytes += acked;
      const ms = now - measured.since;
      if (ms < MEASURE_MS && this.#bytes > 0) return;
      if (ms >= MEASURE_MS) {
        const speed = measured.bytes / ms;
        this.#speed = this.#speed === 0 ? speed : this.#speed + WEIGHT * (speed - this.#speed);
      }
    }
    this.#measured = this.#bytes > 0 ? { bytes: 0, since: now } : undefined;
  }

  #most(): number {
    if (this.#speed === 0) return VIEWER_WINDOW_BYTES;
    const wanted = this.#speed * (this.#delayMs + QUEUE_MS);
    return Math.min(Math.max(wanted, 2 * ACK_EVERY_BYTES), VIEWER_WINDOW_BYTES);
  }
}

const isUpTo = ({ head }: Sent, epoch: number, seq: number): boolean =>
  head.epoch < epoch || (head.epoch === epoch && head.seq <= seq);
