import type { ScreenInput } from '../contract/screen.ts';

/** RFB's numbers, as far as a viewer's messages and a change of size need them (RFC 6143 and its registry). */
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

export type RfbChannelOptions = {
  /** Pixels; a key frame may change them. */
  width: number;
  height: number;
  /** What the viewer does. */
  onInput: (input: ScreenInput) => void;
};

/**
 * A WebSocket-like object that plays the RFB server towards noVNC (`new RFB(element, channel)`): it shakes hands, shows
 * what `key` and `frame` bring, and tells by `onInput` what the viewer does. Update requests go nowhere: frames are pushed.
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
  /** What came before the viewer was ready: the latest key and what follows it. */
  #waiting: (() => void)[] = [];

  constructor(options: RfbChannelOptions) {
    this.#options = options;
    this.#size = { width: options.width, height: options.height };
  }

  /** noVNC attaches late: it is greeted when it listens. */
  get onmessage() {
    return this.#onmessage;
  }
  set onmessage(listener) {
    const first = this.#onmessage === null && listener !== null;
    this.#onmessage = listener;
    if (first) setTimeout(() => this.#send(new TextEncoder().encode(GREETING)));
  }

  /** The whole picture, perhaps in another size. */
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

  frame(bytes: Uint8Array): void {
    if (this.#step === 'open') this.#send(bytes);
    else if (this.#waiting.length > 0) this.#waiting.push(() => this.#send(bytes));
  }

  /** noVNC's messages. Nothing is answered within: noVNC empties its buffer only after this returns. */
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

  /** As a WebSocket, it is told later that it is closed: noVNC only then begins to wait for that. */
  close(): void {
    if (this.readyState === 'closed') return;
    this.readyState = 'closed';
    queueMicrotask(() => this.onclose?.({ code: 1000, reason: '', wasClean: true }));
  }

  /** → is there more to do? */
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
        // Sizes are asked for by whoever made this channel; noVNC waits for an answer to its own request.
        this.#sendDesktopSize(REQUESTED, PROHIBITED);
        break;
    }
    return true;
  }

  /** The length of the message that begins the input; `undefined` while that can't be told. */
  #messageLength(): number | undefined {
    const bytes = this.#input;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const from = (needed: number, length: () => number) => (bytes.length < needed ? undefined : length());
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
        throw new Error(`noVNC sent a message of the unknown type ${bytes[0]}`);
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

  /** A FramebufferUpdate of one rectangle that says the size, with one screen. @param reason of it, and how that went */
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
