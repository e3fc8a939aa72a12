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
import { Throttle } from './throttle.ts';
import { TURN_MS, type Turn } from './turns.ts';
import { VisibleRects } from './visible.ts';

/** Key frames, the clipboard and changes of size come no more often than this, ms. */
const KEY_EVERY_MS = 200;
const CLIPBOARD_EVERY_MS = 200;
const RESIZE_EVERY_MS = 250;
/** Programs miss a button that is released sooner than this after it was pressed, ms: jwm's panel for one. */
const CLICK_MS = 20;
/** A screen that changes all the time is shown so often, ms: 30 times a second. */
const FRAME_MS = 33;
/** How long a desktop may take to show all of its screen, ms. */
const COMPLETE_WITHIN_MS = 10_000;
/** What a rectangle counts beyond its bytes: as much memory goes through the garbage collector for the smallest. */
const RECT_BYTES = 256;
/** A larger screen begins with JPEG: without it one frame may not hold it. */
const LOSSLESS_PIXELS = 4_500_000;

export type StreamOptions = {
  connection: Connection;
  /** Sends a frame to all who watch; rejects when that fails. */
  publish: (frame: Buffer) => Promise<unknown>;
  /** The desktop has let us in: from now on it takes input. */
  onOpen: () => void;
  turn: Turn;
  metrics: ScreenMetrics;
};

/**
 * One connection to a desktop and what is published of it. An epoch begins with a key frame and ends when the screen
 * changes its size, or with the stream.
 */
export class Stream {
  readonly #o: StreamOptions;
  readonly #publisher: Publisher;
  readonly #seen = new VisibleRects();
  readonly #clipboard: Clipboard;
  readonly #keyboard = new Keyboard();
  readonly #outbox = new Outbox();
  #mask = 0;
  readonly #timers = {
    ask: new Throttle(),
    key: new Throttle(),
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
  /** All of the screen was asked for in this epoch, and has come. */
  #asked = false;
  #complete = false;
  /** All of it was asked for anew. */
  #refreshing = false;
  /** An update is published in part; a key frame is to follow it. */
  #publishing = false;
  #keyAfter = false;

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

  /** Streams until `signal` is aborted, the desktop ends or misbehaves, or nothing can be published: then it rejects. */
  async run(signal: AbortSignal): Promise<void> {
    this.#signal = signal;
    try {
      await this.#o.connection.run((size) => this.#speak(size), signal, this.#o.turn);
    } finally {
      for (const timer of Object.values(this.#timers)) timer.clear();
      this.#outbox.clear();
    }
  }

  /** Publishes a key frame: now, or as soon as one is due again or the screen is known. */
  key(): void {
    this.#timers.key.soonest(KEY_EVERY_MS, () => {
      // Until all is there, and while Redis is slow to take one, the next is on its way already.
      if (!this.#complete || this.#publisher.keyframePending) return;
      this.#keyInTurn().catch(() => this.#o.connection.fail('a frame was not published'));
    });
  }

  /** What it changes is to be seen soon. → false when the desktop does not take it. */
  send(input: ScreenInput): boolean {
    const clicks = input.t === 'ptr' && input.mask !== this.#mask;
    if (input.t === 'ptr') this.#mask = input.mask;
    return this.#outbox.run(() => this.#act(input), clicks ? CLICK_MS : 0);
  }

  #act(input: ScreenInput): boolean {
    this.#timers.ask.hurry();
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

  *#speak(size: Size): Parser<void> {
    this.#bandwidth = new BandwidthController(size.width * size.height > LOSSLESS_PIXELS);
    this.#send(streamEncodings(this.#bandwidth.lossy));
    this.#begin(size);
    this.#ask();
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
    this.#seen.clear(size);
    this.#publisher.begin(size);
    this.#asked = false;
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
        this.#seen.settled();
      }
      if (this.#complete) await this.#publisher.deltas(rects, turn);
      else this.#keyAfter = true;
      this.#complete = true;
      metrics.updates.inc();
    }
    this.#publishing = false;
    if (this.#keyAfter) await this.#publishKey();
    await this.#resume(bytes + rects.length * RECT_BYTES);
  }

  /** Notes rectangles from an index on, for no longer than a turn. @returns the index of the first that is left */
  #add(rects: Rect[], from: number): number {
    const since = performance.now();
    let at = from;
    for (const rect of rects.slice(from)) {
      this.#seen.add(rect);
      at++;
      if (performance.now() - since > TURN_MS) break;
    }
    // The first part is the parser's, which accounts for it.
    if (from > 0) this.#o.turn.spent(performance.now() - since);
    return at;
  }

  /** Publishes a key frame when it is this screen's turn and its user is within the budget; not in the midst of an update. */
  async #keyInTurn(): Promise<void> {
    const { turn } = this.#o;
    const waitMs = turn.sent(0);
    if (waitMs >= 1) await sleep(waitMs, undefined, { signal: this.#signal });
    await turn.take();
    if (this.#publishing) {
      this.#keyAfter = true;
      return;
    }
    if (!this.#complete || this.#publisher.keyframePending) return;
    const since = performance.now();
    const sent = this.#publishKey();
    turn.spent(performance.now() - since);
    await sent;
  }

  /** Asks for what comes next, as soon as that is due. */
  async #resume(bytes: number): Promise<void> {
    const waitMs = Math.max(this.#bandwidth.sent(bytes), this.#o.turn.sent(bytes));
    this.#reconsider();
    if (waitMs > 1) await sleep(waitMs, undefined, { signal: this.#signal });
    this.#timers.ask.soonest(FRAME_MS, () => this.#ask());
  }

  /** Changes the quality when it is time to; a screen that has come to rest is lossless again as well. */
  #reconsider(): void {
    if (this.#bandwidth.reconsider()) {
      this.#send(streamEncodings(this.#bandwidth.lossy));
      this.#o.metrics.switches.inc({ to: this.#bandwidth.lossy ? 'jpeg' : 'lossless' });
    }
    if (this.#bandwidth.lossy) this.#timers.calm.run(this.#bandwidth.lossyMs, () => this.#reconsider());
  }

  /** Asked for all of its screen a server may first tell its layout: all is asked for once, changes from then on. */
  #ask(): void {
    const all = !this.#asked || (this.#seen.outgrown && !this.#refreshing);
    if (all) {
      this.#refreshing = this.#asked;
      this.#asked = true;
      this.#timers.complete.run(COMPLETE_WITHIN_MS, () => this.#o.connection.fail('no picture in time'));
    }
    this.#send(updateRequest(this.#size, !all));
  }

  #publishKey(): Promise<unknown> {
    this.#keyAfter = false;
    this.#timers.key.done();
    return this.#publisher.key(this.#seen.rects(), this.#o.turn);
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
