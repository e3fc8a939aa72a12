import type { Socket } from 'socket.io-client';
import type { ErrorCode } from '../contract/errors.ts';
import {
  ACK_EVERY_BYTES,
  ACK_EVERY_MS,
  type ControlAck,
  type ControlAction,
  DROPPED,
  fitsClipboard,
  type Holder,
  holdingViewer,
  type InputDropped,
  MAX_OFFER_BYTES,
  type Requester,
  type ScreenInput,
  type Viewers,
  type ViewersAck,
  type WatchAck,
} from '../contract/screen.ts';
import { backoff } from '../runtime/backoff.ts';

export type ScreenMode = 'view' | 'control';

/** `onGone` for this reason: the relay can't be reached. */
export const DISCONNECTED = 'disconnected';

export type WatchOptions = {
  /** The relay lets this viewer watch. The picture follows as soon as the desktop runs. */
  onWatching?: (screen: {
    mode: ScreenMode;
    width: number;
    height: number;
    /** This viewer's own. */
    viewerId: string;
    /** Who may send input; `null`: control is free, and the first key or button pressed with a `control` ticket takes it. */
    holder: Holder | null;
    mine: boolean;
  }) => void;
  /** The whole picture, as an RFB FramebufferUpdate message; pixels. */
  onKey: (bytes: Uint8Array, width: number, height: number) => void;
  /** What changed since, in order and without gaps, as an RFB FramebufferUpdate message. */
  onFrame: (bytes: Uint8Array) => void;
  onControl?: (holder: Holder | null, mine: boolean) => void;
  /** A viewer asks for control that another holds: the owner grants it by `control('grant', viewerId)`. */
  onRequest?: (viewer: Requester) => void;
  /** Input of this viewer did not reach the desktop: how much, and why. */
  onDropped?: (dropped: InputDropped) => void;
  /** The desktop's clipboard. */
  onClipboard?: (text: string) => void;
  /** What was copied in the desktop is longer than is told (`MAX_CUT_TEXT`): it can be pasted there alone. */
  onClipboardTooLarge?: () => void;
  /** No picture comes, and no input is taken, until the next `onKey`. Reasons to tell apart: `HOST_AWAY`, `DISCONNECTED`. */
  onGone?: (reason: string) => void;
  /** The relay does not let this viewer watch, or not any more; what may pass is tried again. */
  onRefused?: (refusal: { code: ErrorCode; message: string }) => void;
};

/** One desktop's screen as one viewer has it. */
export type Screen = {
  readonly mode: ScreenMode;
  /** Sent only while connected, and taken only while this viewer holds control: see `onDropped`. Throws for too long a text. */
  input: (input: ScreenInput) => void;
  /**
   * Asks for control, or releases it; the owner may also take it from its holder, or grant it to the viewer of
   * `viewerId`. A request while another holds it is passed on to the owner and the holder. A held control is lost
   * after `CONTROL_IDLE_MS` without input.
   * @returns who holds control now
   * @throws Error with the relay's message
   */
  control: (action: ControlAction, viewerId?: string) => Promise<Holder | null>;
  close: () => void;
};

const ACK_MS = 10_000;
const REFRESH_EVERY_MS = 1000;
const PASSING: ErrorCode[] = ['unavailable', 'rate_limited', 'internal'];

/** Watches one screen over one socket, and again after each reconnect (`rejoin`). */
export class WatchedScreen implements Screen {
  mode: ScreenMode = 'view';
  readonly #socket: Socket;
  readonly #containerId: string;
  readonly #options: WatchOptions;
  readonly #onClose: () => void;
  #viewerId = '';
  #held = false;
  #epoch = -1;
  /** The last frame that was handed on; -1 while a key is needed. */
  #seq = -1;
  #unacknowledged = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #refreshedAt = Number.NEGATIVE_INFINITY;
  #attempts = 0;
  #closed = false;

  constructor(socket: Socket, containerId: string, options: WatchOptions, onClose: () => void) {
    this.#socket = socket;
    this.#containerId = containerId;
    this.#options = options;
    this.#onClose = onClose;
  }

  /** To be called at every connect. */
  rejoin(): void {
    const connection = this.#socket.id;
    const current = () => !this.#closed && this.#socket.id === connection;
    this.#seq = -1;
    this.#ask('vnc:watch', (late: Error | null, ack: WatchAck) => {
      if (!current()) return;
      if (!late && ack.ok) {
        this.#attempts = 0;
        const { mode, width, height, viewerId, holder } = ack;
        // A relay that died has not given back what this viewer held there.
        const held = this.#held && this.#isMine(holder) && viewerId !== this.#viewerId;
        this.mode = mode;
        this.#viewerId = viewerId;
        this.#held = this.#isMine(holder);
        if (held) this.control('take').catch(() => undefined);
        this.#options.onWatching?.({ mode, width, height, viewerId, holder, mine: this.#held });
        return;
      }
      const { code, message }: { code: ErrorCode; message: string } =
        late || ack.ok ? { code: 'unavailable', message: 'The relay did not answer.' } : ack;
      this.#options.onRefused?.({ code, message });
      if (!PASSING.includes(code)) return;
      this.#attempts += 1;
      setTimeout(() => current() && this.rejoin(), backoff(this.#attempts));
    });
  }

  key(epoch: number, seq: number, width: number, height: number, bytes: ArrayBuffer | Uint8Array): void {
    this.#epoch = epoch;
    this.#seq = seq;
    const frame = new Uint8Array(bytes);
    this.#options.onKey(frame, width, height);
    this.#acknowledge(frame.byteLength);
  }

  frame(epoch: number, seq: number, bytes: ArrayBuffer | Uint8Array): void {
    if (epoch === this.#epoch && seq <= this.#seq) return;
    if (epoch !== this.#epoch || seq !== this.#seq + 1 || this.#seq < 0) {
      this.#seq = -1;
      this.#refresh();
      return;
    }
    this.#seq = seq;
    const frame = new Uint8Array(bytes);
    this.#options.onFrame(frame);
    this.#acknowledge(frame.byteLength);
  }

  controlled(holder: Holder | null): void {
    this.#held = this.#isMine(holder);
    this.#options.onControl?.(holder, this.#held);
  }

  requested(viewer: Requester): void {
    this.#options.onRequest?.(viewer);
  }

  dropped(dropped: InputDropped): void {
    this.#options.onDropped?.(dropped);
  }

  clipboard(text: string): void {
    this.#options.onClipboard?.(text);
  }

  clipboardTooLarge(): void {
    this.#options.onClipboardTooLarge?.();
  }

  gone(reason: string): void {
    this.#seq = -1;
    this.#options.onGone?.(reason);
  }

  /** The connection has ended for good. */
  refused(refusal: { code: ErrorCode; message: string }): void {
    this.#options.onRefused?.(refusal);
  }

  input(input: ScreenInput): void {
    if (input.t === 'cut' && !fitsClipboard(input.text)) {
      throw new RangeError(`A text for the clipboard has at most ${MAX_OFFER_BYTES} bytes as JSON.`);
    }
    const containerId = this.#containerId;
    if (this.#socket.connected) this.#socket.emit('vnc:input', { containerId, input });
    else {
      const message = DROPPED.disconnected;
      this.dropped({ containerId, reason: 'disconnected', count: 1, holder: null, message });
    }
  }

  control(action: ControlAction, viewerId?: string): Promise<Holder | null> {
    return new Promise((resolve, reject) => {
      const answered = (late: Error | null, ack: ControlAck) => {
        if (late) reject(new Error('The relay did not answer: try again.'));
        else if (ack.ok) resolve(ack.holder);
        else reject(new Error(ack.message));
      };
      this.#ask('vnc:control', answered, { action, ...(viewerId === undefined ? {} : { viewerId }) });
    });
  }

  viewers(): Promise<Viewers> {
    return new Promise((resolve, reject) => {
      this.#ask('vnc:viewers', (late: Error | null, ack: ViewersAck) => {
        if (late) reject(new Error('The relay did not answer: try again.'));
        else if (ack.ok) resolve({ items: ack.items, control: ack.control });
        else reject(new Error(ack.message));
      });
    });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#timer);
    if (this.#socket.connected) this.#socket.emit('vnc:unwatch', { containerId: this.#containerId });
    this.#onClose();
  }

  #ask<A>(event: string, answered: (late: Error | null, ack: A) => void, more: object = {}): void {
    this.#socket.timeout(ACK_MS).emit(event, { containerId: this.#containerId, ...more }, answered);
  }

  #isMine(holder: Holder | null): boolean {
    return holder !== null && holdingViewer(holder) === this.#viewerId;
  }

  /** By time or by bytes, whichever comes first: one acknowledgement a frame would cost more than the frames. */
  #acknowledge(bytes: number): void {
    this.#unacknowledged += bytes;
    if (this.#unacknowledged >= ACK_EVERY_BYTES) this.#sendAck();
    else this.#timer ??= setTimeout(() => this.#sendAck(), ACK_EVERY_MS);
  }

  #sendAck(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#unacknowledged = 0;
    const [containerId, epoch, seq] = [this.#containerId, this.#epoch, this.#seq];
    if (this.#socket.connected && seq >= 0) this.#socket.emit('vnc:ack', { containerId, epoch, seq });
  }

  /** The relay sends a key by itself to who lags; this is for a gap that it does not know of. */
  #refresh(): void {
    const now = performance.now();
    if (now - this.#refreshedAt < REFRESH_EVERY_MS) return;
    this.#refreshedAt = now;
    this.#ask('vnc:refresh', () => undefined);
  }
}
