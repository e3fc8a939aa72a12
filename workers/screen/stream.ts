import { setTimeout as sleep } from 'node:timers/promises';
import { MAX_FRAME_BYTES, type ScreenInput } from '@warmwind/shared/contract/screen';
import { BandwidthController } from './bandwidth.ts';
import type { ScreenMetrics } from './metrics.ts';
import { Outbox } from './outbox.ts';
import { Publisher } from './publisher.ts';
import { Clipboard } from './rfb/clipboard.ts';
import type { Connection } from './rfb/connection.ts';
import { type Parser, ProtocolError } from './rfb/feed.ts';
import { Keyboard } from './rfb/keyboard.ts';
import { pointerEvent, type Size, setDesktopSize, streamEncodings, updateRequest } from './rfb/messages.ts';
import { serverMessages } from './rfb/server.ts';
import type { Rect, Update } from './rfb/update.ts';
import { TextQueue } from './text-queue.ts';
import { Throttle } from './throttle.ts';
import { TURN_MS, type Turn } from './turns.ts';
import { VisibleRects } from './visible.ts';

/** Least time between two keyframes, two clipboards and two changes of size, ms. */
const KEYFRAME_EVERY_MS = 200;
const CLIPBOARD_EVERY_MS = 200;
const RESIZE_EVERY_MS = 250;
/** Least time between press and release of a button, ms: jwm's panel, for one, misses shorter clicks. */
const CLICK_MS = 20;
/** Least time between two requests for updates, ms: 30 a second. */
const FRAME_MS = 33;
/** Time limit for a desktop to send its complete screen, ms. */
const COMPLETE_TIMEOUT_MS = 10_000;
/** Added to the size of each rectangle, bytes: even the smallest costs the garbage collector this much. */
const RECT_BYTES = 256;
/** A larger screen begins with JPEG: one lossless frame might not hold it. */
const LOSSLESS_PIXELS = 4_500_000;

export type StreamOptions = {
  connection: Connection;
  /** Publishes a frame to all viewers; rejects when that fails. */
  publish: (frame: Buffer) => Promise<unknown>;
  /** Called after the handshake: from now on the desktop accepts input. */
  onOpen: () => void;
  turn: Turn;
  metrics: ScreenMetrics;
};

/**
 * One connection to a desktop, and the frames published from it. An epoch begins with a keyframe. It ends
 * when the screen changes its size, or with the stream.
 */
export class Stream {
  readonly #o: StreamOptions;
  readonly #publisher: Publisher;
  readonly #visible = new VisibleRects();
  readonly #clipboard: Clipboard;
  readonly #keyboard = new Keyboard();
  readonly #outbox = new Outbox();
  readonly #typing = new TextQueue((keysym, down) => this.#act({ t: 'key', keysym, down }));
  #mask = 0;
  readonly #timers = {
    request: new Throttle(),
    keyframe: new Throttle(),
    clipboard: new Throttle(),
    resize: new Throttle(),
    complete: new Throttle(),
    calm: new Throttle(),
  };
  #bandwidth = new BandwidthController(false);
  #signal = AbortSignal.abort();
  #size: Size = { width: 0, height: 0 };
  #screenId: number | undefined;
  /** The rectangles of the update that is being read. */
  #rects: Rect[] = [];
  #bytes = 0;
  /** The complete screen was requested in this epoch. */
  #completeRequested = false;
  /** The complete screen has arrived in this epoch. */
  #complete = false;
  /** The complete screen was requested again. */
  #refreshing = false;
  /** An update is being published. */
  #publishing = false;
  /** A keyframe must follow the update that is being published. */
  #keyframeAfter = false;

  constructor(options: StreamOptions) {
    this.#o = options;
    this.#publisher = new Publisher(options.publish, options.metrics);
    this.#clipboard = new Clipboard(
      (bytes) => this.#send(bytes),
      (text) =>
        this.#timers.clipboard.run(CLIPBOARD_EVERY_MS, () =>
          this.#publisher.clipboard(text).catch(() => undefined),
        ),
    );
  }

  /** Streams. Rejects when `signal` is aborted, the desktop ends or misbehaves, or a publication fails. */
  async run(signal: AbortSignal): Promise<void> {
    this.#signal = signal;
    try {
      await this.#o.connection.run((size) => this.#parse(size), signal, this.#o.turn);
    } finally {
      for (const timer of Object.values(this.#timers)) timer.clear();
      this.#typing.stop();
      this.#outbox.clear();
    }
  }

  /** Publishes a keyframe: now, or as soon as the interval allows it and the screen is complete. */
  keyframe(): void {
    this.#timers.keyframe.soonest(KEYFRAME_EVERY_MS, () => {
      // While the screen is incomplete, or Redis has not accepted the last keyframe, one is on its way.
      if (!this.#complete || this.#publisher.keyframePending) return;
      this.#keyframeInTurn().catch(() => this.#o.connection.fail('a frame was not published'));
    });
  }

  /**
   * Sends input, and requests its effect soon.
   * @param onLost called with the number of characters of a text that were not typed after all
   * @returns false when the desktop does not accept it
   */
  send(input: ScreenInput, onLost: (count: number) => void = () => undefined): boolean {
    if (input.t === 'text') return this.#typing.add(input.text, onLost, (type) => this.#outbox.run(type, 0));
    const clicks = input.t === 'ptr' && input.mask !== this.#mask;
    if (input.t === 'ptr') this.#mask = input.mask;
    return this.#outbox.run(() => this.#act(input), clicks ? CLICK_MS : 0);
  }

  /** Ends the typing of all texts; the number of characters that are left is reported. */
  stopTyping(): void {
    this.#typing.stop();
  }

  #act(input: Exclude<ScreenInput, { t: 'text' }>): boolean {
    this.#timers.request.hurry();
    switch (input.t) {
      case 'key':
        return this.#send(this.#keyboard.events(input.keysym, input.down));
      case 'ptr':
        return this.#send(pointerEvent(input.x, input.y, input.mask));
      case 'cut':
        return this.#clipboard.offer(input.text);
      case 'resize':
        return this.#resize({ width: input.w, height: input.h });
    }
  }

  *#parse(size: Size): Parser<void> {
    this.#bandwidth = new BandwidthController(size.width * size.height > LOSSLESS_PIXELS);
    this.#send(streamEncodings(this.#bandwidth.lossy));
    this.#begin(size);
    this.#requestUpdate();
    this.#o.onOpen();
    yield* serverMessages(size, {
      take: (rect) => this.#take(rect),
      update: (update) => this.#update(update),
      clipboard: this.#clipboard,
    });
  }

  #take(rect: Rect): void {
    this.#bytes += rect.data.length;
    if (this.#bytes > MAX_FRAME_BYTES) throw new ProtocolError('an update of too many bytes');
    this.#rects.push(rect);
  }

  #update({ size, screenId }: Update): Promise<void> | undefined {
    const rects = this.#rects;
    const bytes = this.#bytes;
    this.#rects = [];
    this.#bytes = 0;
    this.#screenId = screenId ?? this.#screenId;
    if (!size) return this.#publish(rects, bytes);
    this.#begin(size);
    return this.#resume(bytes);
  }

  #begin(size: Size): void {
    this.#size = size;
    this.#visible.clear(size);
    this.#publisher.begin(size);
    this.#completeRequested = false;
    this.#complete = false;
    this.#refreshing = false;
  }

  async #publish(rects: Rect[], bytes: number): Promise<void> {
    const { turn, metrics } = this.#o;
    this.#publishing = true;
    for (let from = 0; from < rects.length; ) {
      if (from > 0) await turn.take();
      from = this.#add(rects, from);
    }
    if (rects.length > 0) {
      if (!this.#complete || this.#refreshing) {
        this.#timers.complete.clear();
        this.#refreshing = false;
        this.#visible.markComplete();
      }
      if (this.#complete) await this.#publisher.deltas(rects, turn);
      else this.#keyframeAfter = true;
      this.#complete = true;
      metrics.updates.inc();
    }
    this.#publishing = false;
    if (this.#keyframeAfter) await this.#publishKeyframe();
    await this.#resume(bytes + rects.length * RECT_BYTES);
  }

  /** Adds rectangles from an index on, for one turn at most. @returns the index of the first one left */
  #add(rects: Rect[], from: number): number {
    const since = performance.now();
    let at = from;
    for (const rect of rects.slice(from)) {
      this.#visible.add(rect);
      at++;
      if (performance.now() - since > TURN_MS) break;
    }
    // The parser accounts for the first part.
    if (from > 0) this.#o.turn.spent(performance.now() - since);
    return at;
  }

  /** Publishes a keyframe in this screen's turn, within its user's budget, and not amid an update. */
  async #keyframeInTurn(): Promise<void> {
    const { turn } = this.#o;
    const waitMs = turn.sent(0);
    if (waitMs >= 1) await sleep(waitMs, undefined, { signal: this.#signal });
    await turn.take();
    if (this.#publishing) {
      this.#keyframeAfter = true;
      return;
    }
    if (!this.#complete || this.#publisher.keyframePending) return;
    const since = performance.now();
    const sent = this.#publishKeyframe();
    turn.spent(performance.now() - since);
    await sent;
  }

  /** Requests the next update as soon as the budgets allow it. */
  async #resume(bytes: number): Promise<void> {
    const waitMs = Math.max(this.#bandwidth.sent(bytes), this.#o.turn.sent(bytes));
    this.#reconsider();
    if (waitMs > 1) await sleep(waitMs, undefined, { signal: this.#signal });
    this.#timers.request.soonest(FRAME_MS, () => this.#requestUpdate());
  }

  /** Changes the quality when that is due; a screen at rest becomes lossless again too. */
  #reconsider(): void {
    if (this.#bandwidth.reconsider()) {
      this.#send(streamEncodings(this.#bandwidth.lossy));
      this.#o.metrics.switches.inc({ to: this.#bandwidth.lossy ? 'jpeg' : 'lossless' });
    }
    if (this.#bandwidth.lossy) this.#timers.calm.run(this.#bandwidth.lossyMs, () => this.#reconsider());
  }

  /**
   * Requests the next update: the complete screen once, its changes from then on. A server may answer the
   * first request with its layout alone.
   */
  #requestUpdate(): void {
    const all = !this.#completeRequested || (this.#visible.needsRefresh && !this.#refreshing);
    if (all) {
      this.#refreshing = this.#completeRequested;
      this.#completeRequested = true;
      this.#timers.complete.run(COMPLETE_TIMEOUT_MS, () =>
        this.#o.connection.fail('no complete screen in time'),
      );
    }
    this.#send(updateRequest(this.#size, !all));
  }

  #publishKeyframe(): Promise<unknown> {
    this.#keyframeAfter = false;
    this.#timers.keyframe.done();
    return this.#publisher.keyframe(this.#visible.rects(), this.#o.turn);
  }

  #resize(size: Size): boolean {
    if (this.#screenId === undefined) return false;
    this.#timers.resize.run(RESIZE_EVERY_MS, () => {
      if (this.#screenId !== undefined) this.#send(setDesktopSize(size, this.#screenId));
    });
    return true;
  }

  #send(bytes: Buffer): boolean {
    return this.#o.connection.send(bytes);
  }
}
