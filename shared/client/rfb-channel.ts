import type { ScreenInput } from '../contract/screen.ts';

/** The constants of RFB that a viewer's messages and a change of size need (RFC 6143 and its registry). */
const EXTENDED_DESKTOP_SIZE = -308;
const REQUESTED = 1;
const PROHIBITED = 1;
const TRUE_COLOUR = [32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0];
const GREETING = 'RFB 003.008\n';
const NO_SECURITY = 1;

const CLIENT = {
  setPixelFormat: 0,
  setEncodings: 2,
  updateRequest: 3,
  key: 4,
  pointer: 5,
  cutText: 6,
  updates: 150,
  fence: 248,
  xvp: 250,
  setDesktopSize: 251,
  qemu: 255,
} as const;

type Step = 'greeting' | 'security' | 'init' | 'open';

/** Options of {@link RfbChannel}. */
export type RfbChannelOptions = {
  /** The width of the screen, pixels. A keyframe may change it. */
  width: number;
  /** The height of the screen, pixels. A keyframe may change it. */
  height: number;
  /** Called with each key and pointer input of the user. */
  onInput: (input: ScreenInput) => void;
};

/**
 * A WebSocket-like object that acts as the RFB server for noVNC. It completes the handshake, passes on the
 * frames of `key` and `frame`, and reports the user's input to `onInput`. It ignores update requests, because
 * frames are pushed.
 *
 * @example
 * const channel = new RfbChannel({ width, height, onInput: (input) => screen.input(input) });
 * const rfb = new RFB(element, channel);
 */
export class RfbChannel {
  binaryType = 'arraybuffer';
  protocol = '';
  readyState = 'open';
  onopen: (() => void) | null = null;
  onerror: ((event: unknown) => void) | null = null;
  onclose: ((event: { code: number; reason: string; wasClean: boolean }) => void) | null = null;

  readonly #options: RfbChannelOptions;
  #onmessage: ((event: { data: ArrayBuffer }) => void) | null = null;
  #step: Step = 'greeting';
  #input = new Uint8Array(0);
  #size: { width: number; height: number };
  /** The frames that arrived before noVNC was ready: the latest keyframe and the deltas after it. */
  #waiting: (() => void)[] = [];

  constructor(options: RfbChannelOptions) {
    this.#options = options;
    this.#size = { width: options.width, height: options.height };
  }

  /** Sends the greeting once noVNC attaches its listener. */
  get onmessage() {
    return this.#onmessage;
  }
  set onmessage(listener) {
    const first = this.#onmessage === null && listener !== null;
    this.#onmessage = listener;
    if (first) setTimeout(() => this.#send(new TextEncoder().encode(GREETING)));
  }

  /**
   * Passes on a keyframe, which may have another size.
   *
   * @param bytes an RFB FramebufferUpdate message
   * @param width pixels
   * @param height pixels
   */
  key(bytes: Uint8Array, width: number, height: number): void {
    const show = () => {
      const same = width === this.#size.width && height === this.#size.height;
      this.#size = { width, height };
      if (!same) this.#sendDesktopSize();
      this.#send(bytes);
    };
    if (this.#step === 'open') show();
    else this.#waiting = [show];
  }

  /**
   * Passes on a delta.
   *
   * @param bytes an RFB FramebufferUpdate message
   */
  frame(bytes: Uint8Array): void {
    if (this.#step === 'open') this.#send(bytes);
    else if (this.#waiting.length > 0) this.#waiting.push(() => this.#send(bytes));
  }

  /** Receives bytes of noVNC. Replies follow in a microtask: noVNC empties its buffer after this call. */
  send(data: ArrayBufferView | ArrayBuffer): void {
    const bytes = ArrayBuffer.isView(data)
      ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
      : new Uint8Array(data);
    const input = new Uint8Array(this.#input.length + bytes.length);
    input.set(this.#input);
    input.set(bytes, this.#input.length);
    this.#input = input;
    queueMicrotask(() => {
      while (this.#advance());
    });
  }

  /** Closes the channel. `onclose` follows later, because noVNC starts to wait for it after this call. */
  close(): void {
    if (this.readyState === 'closed') return;
    this.readyState = 'closed';
    queueMicrotask(() => this.onclose?.({ code: 1000, reason: '', wasClean: true }));
  }

  /** @returns whether a message was handled, so that another may follow */
  #advance(): boolean {
    switch (this.#step) {
      case 'greeting':
        if (!this.#take(GREETING.length)) return false;
        this.#send(Uint8Array.of(1, NO_SECURITY));
        this.#step = 'security';
        return true;
      case 'security':
        if (!this.#take(1)) return false;
        this.#send(new Uint8Array(4));
        this.#step = 'init';
        return true;
      case 'init':
        if (!this.#take(1)) return false;
        this.#sendServerInit();
        this.#step = 'open';
        queueMicrotask(() => this.#begin());
        return true;
      case 'open':
        return this.#read();
    }
  }

  #begin(): void {
    this.#sendDesktopSize();
    for (const show of this.#waiting.splice(0)) show();
  }

  #read(): boolean {
    const length = this.#messageLength();
    if (length === undefined) return false;
    const message = this.#take(length);
    if (!message) return false;
    const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
    const { onInput } = this.#options;
    switch (message[0]) {
      case CLIENT.key: {
        const keysym = view.getUint32(4);
        if (keysym > 0) onInput({ t: 'key', keysym, down: view.getUint8(1) !== 0 });
        break;
      }
      case CLIENT.pointer:
        onInput({ t: 'ptr', mask: view.getUint8(1), x: view.getUint16(2), y: view.getUint16(4) });
        break;
      case CLIENT.setDesktopSize:
        // The owner of this channel requests sizes. noVNC waits for a reply, so its request is refused.
        this.#sendDesktopSize(REQUESTED, PROHIBITED);
        break;
    }
    return true;
  }

  /** @returns the length of the first message in the input; `undefined` until enough bytes have arrived */
  #messageLength(): number | undefined {
    const bytes = this.#input;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const from = (least: number, length: () => number) => (bytes.length < least ? undefined : length());
    switch (bytes[0]) {
      case undefined:
        return undefined;
      case CLIENT.setPixelFormat:
        return 20;
      case CLIENT.setEncodings:
        return from(4, () => 4 + 4 * view.getUint16(2));
      case CLIENT.updateRequest:
      case CLIENT.updates:
        return 10;
      case CLIENT.key:
        return 8;
      case CLIENT.pointer:
        return 6;
      case CLIENT.cutText:
        return from(8, () => 8 + Math.abs(view.getInt32(4)));
      case CLIENT.fence:
        return from(9, () => 9 + view.getUint8(8));
      case CLIENT.xvp:
        return 4;
      case CLIENT.setDesktopSize:
        return from(8, () => 8 + 16 * view.getUint8(6));
      case CLIENT.qemu:
        return 12;
      default:
        throw new Error(
          `noVNC sent a message of the unknown type ${bytes[0]}. Use the noVNC version of this package.`,
        );
    }
  }

  #take(length: number): Uint8Array | undefined {
    if (this.#input.length < length) return undefined;
    const taken = this.#input.subarray(0, length);
    this.#input = this.#input.subarray(length);
    return taken;
  }

  #send(bytes: Uint8Array): void {
    // noVNC reads whole buffers.
    this.#onmessage?.({ data: bytes.slice().buffer });
  }

  #sendServerInit(): void {
    const name = new TextEncoder().encode('desktop');
    const message = new Uint8Array(24 + name.length);
    const view = new DataView(message.buffer);
    view.setUint16(0, this.#size.width);
    view.setUint16(2, this.#size.height);
    message.set(TRUE_COLOUR, 4);
    view.setUint32(20, name.length);
    message.set(name, 24);
    this.#send(message);
  }

  /**
   * Sends a FramebufferUpdate of one ExtendedDesktopSize rectangle with one screen.
   *
   * @param reason why the size is sent: 0 or `REQUESTED`
   * @param status the result of a request: 0 or `PROHIBITED`
   */
  #sendDesktopSize(reason = 0, status = 0): void {
    const { width, height } = this.#size;
    const view = new DataView(new ArrayBuffer(36));
    view.setUint16(2, 1);
    view.setUint16(4, reason);
    view.setUint16(6, status);
    view.setUint16(8, width);
    view.setUint16(10, height);
    view.setInt32(12, EXTENDED_DESKTOP_SIZE);
    view.setUint8(16, 1);
    view.setUint16(28, width);
    view.setUint16(30, height);
    this.#send(new Uint8Array(view.buffer));
  }
}
