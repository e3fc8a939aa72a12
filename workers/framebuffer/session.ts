import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ScreenInput } from '@warmwind/shared/contract/screen';
import { withTimeout } from '@warmwind/shared/runtime/timeout';
import type { Connection } from '../screen/rfb/connection.ts';
import { type Parser, ProtocolError } from '../screen/rfb/feed.ts';
import { Keyboard } from '../screen/rfb/keyboard.ts';
import {
  type Area,
  ENCODING,
  framebufferEncodings,
  pointerEvent,
  type Size,
  updateRequest,
} from '../screen/rfb/messages.ts';
import { serverMessages } from '../screen/rfb/server.ts';
import type { CursorShape, Rect, Update } from '../screen/rfb/update.ts';
import { Throttle } from '../screen/throttle.ts';
import type { Turn } from '../screen/turns.ts';
import { CHANNELS, Pixels, union } from './pixels.ts';

/** Least time between two requests for changes, ms. */
const FRAME_MS = 16;
/** Time limit for a desktop to send its screen, ms. */
const ANSWER_MS = 5000;
/** A pointer that another connection moved this long ago rests, ms. */
const RESTED_MS = 500;
/** The pixel that is requested so that the desktop answers even if nothing has changed. */
const PROBE: Size = { width: 1, height: 1 };

export type FramebufferOptions = {
  connection: Connection;
  turn: Turn;
  /** Reserves memory for a screen of this size. @returns its bytes @throws ProtocolError when there is none */
  reserve: (size: Size) => number;
};

/** The pixels that have changed since a mark. */
export type DamageMark = {
  /** @returns the bounds of these pixels, `undefined` for none; and counts from now on */
  take: () => Area | undefined;
  end: () => void;
};

/** Where the pointer is, and its picture if the desktop has sent one. */
export type Cursor = { x: number; y: number; shape: CursorShape | undefined };

/**
 * One connection to a desktop that keeps its screen as plain pixels, and sends input. It requests changes
 * only while it is watched.
 */
export class Framebuffer {
  readonly #o: FramebufferOptions;
  readonly #id = randomBytes(9).toString('base64url');
  readonly #keyboard = new Keyboard();
  readonly #throttle = new Throttle();
  readonly #marks = new Set<{ area: Area | undefined }>();
  /** Called after each update. */
  readonly #listeners = new Set<() => void>();
  /** Holds the pixels. It only grows: a desktop may change its size all the time. */
  #memory = Buffer.alloc(0);
  #pixels: Pixels | undefined;
  #missing = 0;
  #watchers = 0;
  #requested = false;
  #probe: PromiseWithResolvers<void> | undefined;
  #probed = false;
  #nextProbe: Promise<void> | undefined;
  /** Counts changes of pixels, and of the pointer. */
  #paints = 0;
  #moves = 0;
  #paintedAt = performance.now();
  #cursor: Cursor = { x: 0, y: 0, shape: undefined };
  /** Where this connection has moved the pointer to, and when another one moved it. */
  #sent = { x: 0, y: 0 };
  #movedAt = Number.NEGATIVE_INFINITY;
  #ended: Error | undefined;

  constructor(options: FramebufferOptions) {
    this.#o = options;
  }

  /** Reads the screen until the connection ends. Rejects when the desktop ends, misbehaves, or on `signal`. */
  async run(signal: AbortSignal): Promise<void> {
    const { connection, turn } = this.#o;
    try {
      await connection.run((size) => this.#parse(size), signal, turn);
    } catch (error) {
      this.#ended = error as Error;
      throw error;
    } finally {
      this.#ended ??= new ProtocolError('the framebuffer was closed');
      this.#throttle.clear();
      this.#probe?.reject(this.#ended);
      for (const listener of [...this.#listeners]) listener();
    }
  }

  /** @throws ProtocolError before the first update, or after the end */
  get pixels(): Pixels {
    if (this.#ended) throw this.#ended;
    if (!this.#pixels || this.#missing > 0) throw new ProtocolError('the screen is not complete');
    return this.#pixels;
  }

  get cursor(): Cursor {
    return this.#cursor;
  }

  get hasEnded(): boolean {
    return this.#ended !== undefined;
  }

  /** The id of the present picture: another one has other pixels or, with its pointer, another pointer. */
  frameId(withCursor: boolean): string {
    return `${this.#id}-${this.#paints}${withCursor ? `-${this.#moves}` : ''}`;
  }

  /** Requests changes until the returned function is called. */
  watch(): () => void {
    this.#watchers += 1;
    this.#request();
    return () => {
      this.#watchers -= 1;
    };
  }

  /** Begins to collect changes. */
  mark(): DamageMark {
    const mark: { area: Area | undefined } = { area: undefined };
    this.#marks.add(mark);
    return {
      take: () => {
        const { area } = mark;
        mark.area = undefined;
        return area;
      },
      end: () => this.#marks.delete(mark),
    };
  }

  /**
   * Waits until the pixels are as the desktop shows them now, after all input that was sent.
   * @throws ProtocolError when the desktop does not answer
   */
  sync(): Promise<void> {
    if (this.#ended) return Promise.reject(this.#ended);
    if (!this.#probe) return this.#sendProbe();
    // The answer to the present probe may be older than this request.
    this.#nextProbe ??= this.#probe.promise.then(() => {
      this.#nextProbe = undefined;
      return this.#probe?.promise ?? this.#sendProbe();
    });
    return this.#nextProbe;
  }

  /**
   * Takes the place to which another connection has moved the pointer.
   * @param rests it was moved there some time ago
   */
  pointAt(x: number, y: number, rests = false): void {
    if (!rests && (x !== this.#sent.x || y !== this.#sent.y)) this.#movedAt = performance.now();
    this.#moved(x, y);
  }

  /**
   * Waits until no pixel has changed for `quietMs`, at most `maxMs`.
   * @throws the reason of `signal`
   */
  async quiet(quietMs: number, maxMs: number, signal: AbortSignal): Promise<'quiet' | 'timeout'> {
    const begunAt = performance.now();
    for (;;) {
      const now = performance.now();
      const quietAt = Math.max(this.#paintedAt, begunAt) + quietMs;
      if (quietAt > begunAt + maxMs) {
        await sleep(Math.max(0, begunAt + maxMs - now), undefined, { signal });
        return 'timeout';
      }
      if (now >= quietAt) return 'quiet';
      await sleep(quietAt - now, undefined, { signal });
    }
  }

  /** Waits for the next update, the end, or `signal`. */
  async changed(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#listeners.add(resolve);
    const stop = () => resolve();
    signal.addEventListener('abort', stop);
    if (signal.aborted || this.#ended) resolve();
    await promise;
    signal.removeEventListener('abort', stop);
    this.#listeners.delete(resolve);
  }

  /** Sends a key or the pointer. @returns false when the desktop does not accept it */
  send(input: ScreenInput): boolean {
    if (this.#ended) return false;
    const { connection } = this.#o;
    if (input.t === 'key') return connection.send(this.#keyboard.events(input.keysym, input.down));
    if (input.t !== 'ptr') return false;
    if (!connection.send(pointerEvent(input.x, input.y, input.mask))) return false;
    this.#sent = { x: input.x, y: input.y };
    this.#moved(input.x, input.y);
    return true;
  }

  *#parse(size: Size): Parser<void> {
    this.#send(framebufferEncodings());
    this.#begin(size);
    yield* serverMessages(size, {
      take: (rect) => this.#take(rect),
      update: (update) => this.#update(update),
      pointer: {
        shape: (shape) => {
          this.#cursor = { ...this.#cursor, shape };
          this.#moves += 1;
        },
        moved: (x, y) => this.#moved(x, y),
      },
      clipboard: undefined,
    });
  }

  #moved(x: number, y: number): void {
    if (x === this.#cursor.x && y === this.#cursor.y) return;
    this.#cursor = { ...this.#cursor, x, y };
    this.#moves += 1;
  }

  #begin(size: Size): void {
    if (size.width * size.height * CHANNELS > this.#memory.length)
      this.#memory = Buffer.alloc(this.#o.reserve(size));
    // An X server begins with the pointer in the middle.
    if (!this.#pixels) this.#moved(size.width >> 1, size.height >> 1);
    this.#pixels = new Pixels(size, this.#memory);
    this.#missing = size.width * size.height;
    this.#painted({ x: 0, y: 0, w: size.width, h: size.height });
    this.#send(updateRequest(size, false));
    this.#requested = true;
  }

  #take(rect: Rect): void {
    const pixels = this.#pixels;
    const wasComplete = this.#missing <= 0;
    if (!pixels || rect.encoding !== ENCODING.raw) throw new ProtocolError('an encoding not requested');
    // The update that changes the size may hold such a rectangle: the complete screen is requested again.
    if (rect.x + rect.w > pixels.size.width || rect.y + rect.h > pixels.size.height) return;
    const damage = pixels.paint(rect);
    this.#missing -= rect.w * rect.h;
    if (rect.x === 0 && rect.y === 0) this.#probed = true;
    if (!wasComplete && this.#missing <= 0) this.#probed = true;
    if (damage) this.#painted(damage);
  }

  #painted(area: Area): void {
    this.#paints += 1;
    this.#paintedAt = performance.now();
    for (const mark of this.#marks) mark.area = union(mark.area, area);
  }

  #update({ size }: Update): undefined {
    this.#requested = false;
    if (size) this.#begin(size);
    else if (this.#missing > 0) {
      // A server may answer the first request with its layout alone.
      this.#send(updateRequest((this.#pixels as Pixels).size, true));
      this.#requested = true;
    } else if (this.#probed) {
      this.#probe?.resolve();
      this.#probe = undefined;
    } else if (this.#probe) {
      // An update of the pointer alone uses up the request.
      this.#requestProbe();
    }
    this.#probed = false;
    this.#request();
    for (const listener of [...this.#listeners]) listener();
  }

  #request(): void {
    if (this.#requested || this.#watchers === 0 || this.#ended) return;
    this.#throttle.soonest(FRAME_MS, () => {
      const pixels = this.#pixels;
      if (this.#requested || !pixels) return;
      this.#requested = true;
      this.#send(updateRequest(pixels.size, true));
    });
  }

  #sendProbe(): Promise<void> {
    const probe = Promise.withResolvers<void>();
    this.#probe = probe;
    this.#probed = false;
    this.#requestProbe();
    return withTimeout(probe.promise, ANSWER_MS, () => {
      this.#o.connection.fail('no screen in time');
      throw new ProtocolError('no screen in time');
    });
  }

  #requestProbe(): void {
    // Without a size yet, the complete screen follows the handshake.
    if (!this.#pixels) return;
    this.#claimPointer();
    this.#send(updateRequest(this.#pixels.size, true));
    this.#send(updateRequest(PROBE, false));
    this.#requested = true;
  }

  /**
   * A server draws the pointer into the pixels of every connection that has not moved it to where it is. It
   * is therefore moved to where it is, unless another connection is moving it.
   */
  #claimPointer(): void {
    const { x, y } = this.#cursor;
    const isOurs = x === this.#sent.x && y === this.#sent.y;
    if (isOurs || performance.now() - this.#movedAt < RESTED_MS) return;
    this.#sent = { x, y };
    this.#send(pointerEvent(x, y, 0));
  }

  #send(bytes: Buffer): void {
    this.#o.connection.send(bytes);
  }
}
