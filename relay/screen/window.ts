import { ACK_EVERY_BYTES, type FrameHead, VIEWER_WINDOW_BYTES } from '@warmwind/shared/contract/screen';

/** The queue on the path to a viewer of known speed: as many bytes as the viewer reads in this time, ms. */
const QUEUE_MS = 250;
/** The shortest time over which a viewer's speed is measured, ms. Acknowledgements arrive in bursts. */
const MEASURE_MS = 200;
/** The weight of a new measurement of the speed. */
const WEIGHT = 0.5;

/** A frame that was sent, and the time of that, ms. */
type Sent = { head: FrameHead; bytes: number; at: number };
/** The numbers kept for each frame: epoch, seq, bytes, bytes if it is a delta, time. */
const FIELDS = 5;

/**
 * The frames that one viewer has been sent and has not acknowledged. Deltas may fill a window of
 * `VIEWER_WINDOW_BYTES`. The window shrinks once acknowledgements show the speed of the viewer, so that
 * queued frames stay recent.
 */
export class Window {
  /** A flat list of numbers, not of objects: each frame is stored once for each of hundreds of viewers. */
  readonly #sent: number[] = [];
  #bytes = 0;
  #deltaBytes = 0;
  /** The most bytes of deltas that may be unacknowledged. */
  #limitBytes = VIEWER_WINDOW_BYTES;
  /** The shortest time from sending to acknowledgement, ms. It rises slowly, because network paths change. */
  #delayMs = Number.POSITIVE_INFINITY;
  /** Bytes per ms while a frame was always unacknowledged; 0 until it is known. */
  #speed = 0;
  /** The acknowledged bytes, and the start of a period in which a frame was always unacknowledged. */
  #measured: { bytes: number; since: number } | undefined;

  sent({ head, bytes, at }: Sent): void {
    const deltaBytes = head.kind === 'delta' ? bytes : 0;
    this.#sent.push(head.epoch, head.seq, bytes, deltaBytes, at);
    this.#bytes += bytes;
    this.#deltaBytes += deltaBytes;
  }

  /**
   * Acknowledges all frames up to this one.
   *
   * @returns whether one of them was unacknowledged
   */
  ack(epoch: number, seq: number, now: number): boolean {
    const sent = this.#sent;
    let [end, acked, lastAt] = [0, 0, 0];
    for (; end < sent.length; end += FIELDS) {
      const ofEpoch = sent[end] ?? 0;
      if (ofEpoch > epoch || (ofEpoch === epoch && (sent[end + 1] ?? 0) > seq)) break;
      acked += sent[end + 2] ?? 0;
      this.#deltaBytes -= sent[end + 3] ?? 0;
      lastAt = sent[end + 4] ?? 0;
    }
    if (end === 0) return false;
    sent.splice(0, end);
    this.#bytes -= acked;
    this.#delayMs = Math.min(now - lastAt, this.#delayMs + 1);
    this.#measure(acked, now);
    if (this.#speed > 0) this.#limit();
    return true;
  }

  /** Whether a further delta may be sent. One larger than the window may when no other is unacknowledged. */
  fits(bytes: number): boolean {
    return this.#deltaBytes === 0 || this.#deltaBytes + bytes <= this.#limitBytes;
  }

  /** Whether so few bytes are unacknowledged that a keyframe is recent when it arrives. */
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

  #limit(): void {
    const wanted = Math.round(this.#speed * (this.#delayMs + QUEUE_MS));
    this.#limitBytes = Math.min(Math.max(wanted, 2 * ACK_EVERY_BYTES), VIEWER_WINDOW_BYTES);
  }
}
