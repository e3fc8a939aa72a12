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
  inputsIn,
  MAX_OFFER_BYTES,
  type Requester,
  type ScreenInput,
  type Viewers,
  type ViewersAck,
  type WatchAck,
} from '../contract/screen.ts';
import { backoff } from '../runtime/backoff.ts';

/** The permission of a ticket: to view, or to view and send input. */
export type ScreenMode = 'view' | 'control';

/** The reason of `onGone` when the relay is unreachable. */
export const DISCONNECTED = 'disconnected';

/** Options of `Connection.watch`. */
export type WatchOptions = {
  /** Called when the relay admits this viewer, also after a reconnect. Frames follow. */
  onWatching?: (screen: {
    /** The permission of the ticket. */
    mode: ScreenMode;
    /** The width of the screen, pixels. */
    width: number;
    /** The height of the screen, pixels. */
    height: number;
    /** The id of this viewer. */
    viewerId: string;
    /** The holder of control. `null`: control is free, and a key or button of a `control` ticket takes it. */
    holder: Holder | null;
    /** Does this viewer hold control? */
    mine: boolean;
  }) => void;
  /**
   * Called with each keyframe: the complete screen as an RFB FramebufferUpdate message. `width` and `height`
   * are in pixels.
   */
  onKey: (bytes: Uint8Array, width: number, height: number) => void;
  /** Called with each delta, in order and without gaps, as an RFB FramebufferUpdate message. */
  onFrame: (bytes: Uint8Array) => void;
  /** Called when the holder of control changes. `null`: control is free. `mine`: this viewer holds it. */
  onControl?: (holder: Holder | null, mine: boolean) => void;
  /** Called when a viewer requests control that another holds. The owner answers with the action `grant`. */
  onRequest?: (viewer: Requester) => void;
  /** Called when input of this viewer did not reach the desktop, with the reason and the number of inputs. */
  onDropped?: (dropped: InputDropped) => void;
  /** Called with each text that is copied in the desktop. */
  onClipboard?: (text: string) => void;
  /** Called when a copied text is longer than `MAX_CLIPBOARD_CHARS` and is not sent to viewers. */
  onClipboardTooLarge?: () => void;
  /**
   * Called when the screen stops: until the next `onKey` no frame arrives and no input is accepted. The
   * reason is `HOST_AWAY`, `DISCONNECTED`, the terminal state of the desktop, or a text.
   */
  onGone?: (reason: string) => void;
  /** Called when the relay refuses this viewer, at first or later. Temporary refusals are retried. */
  onRefused?: (refusal: { code: ErrorCode; message: string }) => void;
};

/** A watched screen, of `Connection.watch`. */
export type Screen = {
  /** The permission of the ticket. */
  readonly mode: ScreenMode;
  /**
   * Sends input to the desktop. It is dropped while disconnected and while another viewer holds control: see
   * `onDropped`.
   *
   * @throws RangeError when a text for the clipboard is too long
   */
  input: (input: ScreenInput) => void;
  /**
   * Requests or releases control. The owner may also take it from its holder, or grant it to a viewer. When
   * another viewer holds control, a request notifies the owner and the holder. A holder loses control after
   * `CONTROL_IDLE_MS` without input.
   *
   * @param viewerId the viewer to grant control to; only with `grant`
   * @returns the holder of control after the action
   * @throws Error with the relay's message
   */
  control: (action: ControlAction, viewerId?: string) => Promise<Holder | null>;
  /** Stops watching. */
  close: () => void;
};

const ACK_MS = 10_000;
const REFRESH_EVERY_MS = 1000;
const PASSING: ErrorCode[] = ['unavailable', 'rate_limited', 'internal'];

/** Watches one screen over one socket, and watches it again after each reconnect. */
export class WatchedScreen implements Screen {
  mode: ScreenMode = 'view';
  readonly #socket: Socket;
  readonly #containerId: string;
  readonly #options: WatchOptions;
  readonly #onClose: () => void;
  #viewerId = '';
  #hasControl = false;
  #epoch = -1;
  /** The sequence number of the last frame passed on; -1 while a keyframe is needed. */
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

  /** Watches the screen over the present connection. Call it at every connect. */
  rejoin(): void {
    const connection = this.#socket.id;
    const current = () => !this.#closed && this.#socket.id === connection;
    this.#seq = -1;
    this.#ask('vnc:watch', (timedOut: Error | null, ack: WatchAck) => {
      if (!current()) return;
      if (!timedOut && ack.ok) {
        this.#attempts = 0;
        const { mode, width, height, viewerId, holder } = ack;
        // A relay that died has not released the control that this viewer held there.
        const hadControl = this.#hasControl && this.#isMine(holder) && viewerId !== this.#viewerId;
        this.mode = mode;
        this.#viewerId = viewerId;
        this.#hasControl = this.#isMine(holder);
        if (hadControl) this.control('take').catch(() => undefined);
        this.#options.onWatching?.({ mode, width, height, viewerId, holder, mine: this.#hasControl });
        return;
      }
      const { code, message }: { code: ErrorCode; message: string } =
        timedOut || ack.ok ? { code: 'unavailable', message: 'The relay did not respond in time.' } : ack;
      this.#options.onRefused?.({ code, message });
      if (!PASSING.includes(code)) return;
      this.#attempts += 1;
      setTimeout(() => current() && this.rejoin(), backoff(this.#attempts));
    });
  }

  /** Handles a keyframe. */
  key(epoch: number, seq: number, width: number, height: number, bytes: ArrayBuffer | Uint8Array): void {
    this.#epoch = epoch;
    this.#seq = seq;
    const frame = new Uint8Array(bytes);
    this.#options.onKey(frame, width, height);
    this.#acknowledge(frame.byteLength);
  }

  /** Handles a delta; requests a keyframe when one before it is missing. */
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

  /** Handles a change of the holder of control. */
  controlled(holder: Holder | null): void {
    this.#hasControl = this.#isMine(holder);
    this.#options.onControl?.(holder, this.#hasControl);
  }

  /** Handles another viewer's request for control. */
  requested(viewer: Requester): void {
    this.#options.onRequest?.(viewer);
  }

  /** Handles a notice of dropped input. */
  dropped(dropped: InputDropped): void {
    this.#options.onDropped?.(dropped);
  }

  /** Handles a text copied in the desktop. */
  clipboard(text: string): void {
    this.#options.onClipboard?.(text);
  }

  /** Handles the notice of a copied text that is too long to be sent. */
  clipboardTooLarge(): void {
    this.#options.onClipboardTooLarge?.();
  }

  /** Handles the end or an interruption of the stream. */
  gone(reason: string): void {
    this.#seq = -1;
    this.#options.onGone?.(reason);
  }

  /** Handles the final end of the connection. */
  refused(refusal: { code: ErrorCode; message: string }): void {
    this.#options.onRefused?.(refusal);
  }

  input(input: ScreenInput): void {
    if (input.t === 'cut' && !fitsClipboard(input.text)) {
      throw new RangeError(
        `The text for the clipboard has more than ${MAX_OFFER_BYTES} bytes as JSON. Send a shorter one.`,
      );
    }
    const containerId = this.#containerId;
    if (this.#socket.connected) this.#socket.emit('vnc:input', { containerId, input });
    else {
      const message = DROPPED.disconnected;
      this.dropped({ containerId, reason: 'disconnected', count: inputsIn(input), holder: null, message });
    }
  }

  control(action: ControlAction, viewerId?: string): Promise<Holder | null> {
    return new Promise((resolve, reject) => {
      const answered = (timedOut: Error | null, ack: ControlAck) => {
        if (timedOut) reject(new Error('The relay did not respond in time. Try again.'));
        else if (ack.ok) resolve(ack.holder);
        else reject(new Error(ack.message));
      };
      this.#ask('vnc:control', answered, { action, ...(viewerId === undefined ? {} : { viewerId }) });
    });
  }

  /** Lists the viewers of the screen on all nodes of the relay. */
  viewers(): Promise<Viewers> {
    return new Promise((resolve, reject) => {
      this.#ask('vnc:viewers', (timedOut: Error | null, ack: ViewersAck) => {
        if (timedOut) reject(new Error('The relay did not respond in time. Try again.'));
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

  #ask<A>(event: string, answered: (timedOut: Error | null, ack: A) => void, more: object = {}): void {
    this.#socket.timeout(ACK_MS).emit(event, { containerId: this.#containerId, ...more }, answered);
  }

  #isMine(holder: Holder | null): boolean {
    return holder !== null && holdingViewer(holder) === this.#viewerId;
  }

  /**
   * Acknowledges after a time or a number of bytes: one acknowledgement for each frame would cost too much.
   */
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

  /**
   * Requests a keyframe after a gap that the relay does not know of. It sends slow viewers keyframes on its
   * own.
   */
  #refresh(): void {
    const now = performance.now();
    if (now - this.#refreshedAt < REFRESH_EVERY_MS) return;
    this.#refreshedAt = now;
    this.#ask('vnc:refresh', () => undefined);
  }
}
