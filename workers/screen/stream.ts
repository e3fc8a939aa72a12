import { setTimeout as sleep } from 'node:timers/promises';
import { MAX_FRAME_BYTES, type ScreenInput } from '@warmwind/shared/screen';
import { Later } from './later.ts';
import type { ScreenMetrics } from './metrics.ts';
import { Pace } from './pace.ts';
import { Publisher } from './publisher.ts';
import { Clipboard } from './rfb/clipboard.ts';
import type { Connection } from './rfb/connection.ts';
import { type Parser, ProtocolError } from './rfb/feed.ts';
import { Keyboard } from './rfb/keyboard.ts';
import { pointerEvent, type Size, setDesktopSize, streamEncodings, updateRequest } from './rfb/messages.ts';
import { serverMessages } from './rfb/server.ts';
import type { Rect, Update } from './rfb/update.ts';
import { VisibleRects } from './visible.ts';

/** Key frames, the clipboard and changes of size come no more often than this, ms. */
const KEY_EVERY_MS = 200;
const CUT_EVERY_MS = 200;
const RESIZE_EVERY_MS = 250;
/** A screen that changes all the time is shown so often, ms: 30 times a second. */
const FRAME_MS = 33;
/** How long a desktop may take to show all of its screen, ms. */
const WHOLE_WITHIN_MS = 10_000;
/** A larger screen begins with JPEG: without it one frame may not hold it. */
const LOSSLESS_PIXELS = 4_500_000;

export type StreamOptions = {
  connection: Connection;
  /** Sends a frame to all who watch; rejects when that fails. */
  publish: (frame: Buffer) => Promise<unknown>;
  /** The desktop has let us in: from now on it takes input. */
  onOpen: () => void;
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
  readonly #timers = {
    ask: new Later(),
    key: new Later(),
    cut: new Later(),
    resize: new Later(),
    whole: new Later(),
    calm: new Later(),
  };
  #pace = new Pace(false);
  #signal = AbortSignal.abort();
  #size: Size = { width: 0, height: 0 };
  #screenId: number | undefined;
  /** The rectangles of the update that is being read. */
  #rects: Rect[] = [];
  #bytes = 0;
  /** All of the screen was asked for in this epoch, and has come. */
  #asked = false;
  #whole = false;
  /** All of it was asked for anew. */
  #refreshing = false;

  constructor(options: StreamOptions) {
    this.#o = options;
    this.#publisher = new Publisher(options.publish, options.metrics);
    this.#clipboard = new Clipboard(
      (bytes) => this.#send(bytes),
      (text) => this.#timers.cut.run(CUT_EVERY_MS, () => this.#publisher.cut(text).catch(() => undefined)),
    );
  }

  /** Streams until `signal` is aborted, the desktop ends or misbehaves, or nothing can be published: then it rejects. */
  async run(signal: AbortSignal): Promise<void> {
    this.#signal = signal;
    try {
      await this.#o.connection.run(
        (size) => this.#speak(size),
        signal,
        (busyMs) => this.#rest(busyMs),
      );
    } finally {
      for (const timer of Object.values(this.#timers)) timer.clear();
    }
  }

  /** Publishes a key frame: now, or as soon as one is due again or the screen is known. */
  key(): void {
    this.#timers.key.soonest(KEY_EVERY_MS, () => {
      // Until all is there, and while Redis is slow to take one, the next is on its way already.
      if (!this.#whole || this.#publisher.keyOnItsWay) return;
      this.#publishKey().catch(() => this.#o.connection.fail('a frame was not published'));
    });
  }

  /** What it changes is to be seen soon. → false when the desktop does not take it. */
  send(input: ScreenInput): boolean {
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
    this.#pace = new Pace(size.width * size.height > LOSSLESS_PIXELS);
    this.#send(streamEncodings(this.#pace.lossy));
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
    return this.#goOn(bytes);
  }

  #begin(size: Size): void {
    this.#size = size;
    this.#seen.clear(size);
    this.#publisher.begin(size);
    this.#asked = false;
    this.#whole = false;
    this.#refreshing = false;
  }

  async #publish(rects: Rect[], bytes: number): Promise<void> {
    for (const rect of rects) this.#seen.add(rect);
    if (rects.length > 0) {
      // In the order of the calls: all of one update is on its way before a key frame can come between.
      const sent: Promise<unknown>[] = [];
      if (!this.#whole || this.#refreshing) {
        this.#timers.whole.clear();
        this.#refreshing = false;
        this.#seen.settled();
      }
      if (this.#whole) sent.push(...this.#publisher.deltas(rects));
      else {
        this.#whole = true;
        sent.push(this.#publishKey());
      }
      this.#o.metrics.updates.inc();
      await Promise.all(sent);
    }
    await this.#goOn(bytes);
  }

  /** Asks for what comes next, as soon as that is due. */
  async #goOn(bytes: number): Promise<void> {
    const waitMs = this.#pace.sent(bytes);
    this.#reconsider();
    if (waitMs > 1) await sleep(waitMs, undefined, { signal: this.#signal });
    this.#timers.ask.soonest(FRAME_MS, () => this.#ask());
  }

  /** Changes the quality when it is time to; a screen that has come to rest is lossless again as well. */
  #reconsider(): void {
    if (this.#pace.reconsider()) {
      this.#send(streamEncodings(this.#pace.lossy));
      this.#o.metrics.switches.inc({ to: this.#pace.lossy ? 'jpeg' : 'lossless' });
    }
    if (this.#pace.lossy) this.#timers.calm.run(this.#pace.lossyMs, () => this.#reconsider());
  }

  /** Asked for all of its screen a server may first tell its layout: all is asked for once, changes from then on. */
  #ask(): void {
    const all = !this.#asked || (this.#seen.outgrown && !this.#refreshing);
    if (all) {
      this.#refreshing = this.#asked;
      this.#asked = true;
      this.#timers.whole.run(WHOLE_WITHIN_MS, () => this.#o.connection.fail('no picture in time'));
    }
    this.#send(updateRequest(this.#size, !all));
  }

  #publishKey(): Promise<unknown> {
    this.#timers.key.done();
    return this.#publisher.key(this.#seen.rects());
  }

  #resize(size: Size): boolean {
    if (this.#screenId === undefined) return false;
    this.#timers.resize.run(RESIZE_EVERY_MS, () => {
      if (this.#screenId !== undefined) this.#send(setDesktopSize(size, this.#screenId));
    });
    return true;
  }

  #rest(busyMs: number): Promise<unknown> | undefined {
    const waitMs = this.#pace.busy(busyMs);
    return waitMs > 1 ? sleep(waitMs, undefined, { signal: this.#signal }) : undefined;
  }

  #send(bytes: Buffer): boolean {
    return this.#o.connection.send(bytes);
  }
}
