import { ACK_EVERY_BYTES, type FrameHead, VIEWER_WINDOW_BYTES } from '@warmwind/shared/contract/screen';

/** How much of what it is sent may wait on the way to a viewer, once its speed is known, ms of its own speed. */
const QUEUE_MS = 250;
/** A viewer's speed is measured over at least this long: acknowledgements come in bursts. Weight of a new measurement. */
const MEASURE_MS = 200;
const WEIGHT = 0.5;

/** A frame that was sent, and when, ms. */
type Sent = { head: FrameHead; bytes: number; at: number };
/** Numbers that are kept of each: epoch, seq, bytes, of these a delta's, time. */
const EACH = 5;

/**
 * What one viewer has been sent and has not acknowledged. Deltas may fill a window: of `VIEWER_WINDOW_BYTES`, or less
 * once acknowledgements tell how fast the viewer is, so that what waits on its way does not grow old.
 */
export class Window {
  /** In numbers, not objects: every frame is noted once for each of hundreds of viewers. */
  readonly #sent: number[] = [];
  #bytes = 0;
  #deltaBytes = 0;
  /** So many bytes of deltas may be on the way. */
  #most = VIEWER_WINDOW_BYTES;
  /** Shortest time from sending to acknowledgement, ms; creeps up, for ways change. */
  #delayMs = Number.POSITIVE_INFINITY;
  /** Bytes a ms while something was on the way all the time; 0: unknown. */
  #speed = 0;
  /** What was acknowledged since when, with something on the way all the time. */
  #measured: { bytes: number; since: number } | undefined;

  sent({ head, bytes, at }: Sent): void {
    const deltaBytes = head.kind === 'delta' ? bytes : 0;
    this.#sent.push(head.epoch, head.seq, bytes, deltaBytes, at);
    this.#bytes += bytes;
    this.#deltaBytes += deltaBytes;
  }

  /** All up to this frame has arrived. → is that news? */
  ack(epoch: number, seq: number, now: number): boolean {
    const sent = this.#sent;
    let [end, acked, lastAt] = [0, 0, 0];
    for (; end < sent.length; end += EACH) {
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

  /** May a further delta be sent? One that is larger than the window only when no other is on the way. */
  fits(bytes: number): boolean {
    return this.#deltaBytes === 0 || this.#deltaBytes + bytes <= this.#most;
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

  #limit(): void {
    const wanted = Math.round(this.#speed * (this.#delayMs + QUEUE_MS));
    this.#most = Math.min(Math.max(wanted, 2 * ACK_EVERY_BYTES), VIEWER_WINDOW_BYTES);
  }
}
