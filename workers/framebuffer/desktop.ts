import { Connection } from '../screen/rfb/connection.ts';
import type { Turn } from '../screen/turns.ts';
import type { FramebufferMemory } from './memory.ts';
import { Framebuffer } from './session.ts';

/** How long a framebuffer stays open after its last use, ms: longer than an agent holds control after a call. */
const LINGER_MS = 12_000;

export type DesktopFramebufferOptions = {
  /** Resolves with the path of the desktop's RFB socket; rejects when there is none. */
  socketPath: () => Promise<string>;
  turn: Turn;
  memory: FramebufferMemory;
  /** Called with each framebuffer that was opened, before its first use, and when it has ended. */
  onOpen?: (framebuffer: Framebuffer) => Promise<void>;
  onEnd?: () => void;
  lingerMs?: number;
};

type Open = { framebuffer: Promise<Framebuffer>; stop: AbortController; ended: Promise<void> };

/** The framebuffer of one desktop: opened at its first use, and kept for some time after the last. */
export class DesktopFramebuffer {
  readonly #o: DesktopFramebufferOptions;
  #open: Open | undefined;
  #users = 0;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: DesktopFramebufferOptions) {
    this.#o = options;
  }

  /**
   * Runs work on the framebuffer, whose pixels are complete.
   * @throws Error when the desktop can't be reached, or misbehaves
   */
  async use<T>(work: (framebuffer: Framebuffer) => Promise<T>): Promise<T> {
    if (this.#isClosed) throw new Error('the framebuffer is closed');
    clearTimeout(this.#timer);
    this.#users += 1;
    try {
      this.#open ??= this.#start();
      return await work(await this.#open.framebuffer);
    } finally {
      this.#users -= 1;
      clearTimeout(this.#timer);
      if (this.#users === 0) {
        this.#timer = setTimeout(() => this.#end(this.#open), this.#o.lingerMs ?? LINGER_MS).unref();
      }
    }
  }

  /** Closes the connection. Never rejects. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#open?.stop.abort();
    await this.#open?.ended;
  }

  /** The next use opens another one. */
  #end(open: Open | undefined): void {
    open?.stop.abort();
    if (this.#open === open) this.#open = undefined;
  }

  #start(): Open {
    const { socketPath, turn, memory, onOpen, onEnd } = this.#o;
    const stop = new AbortController();
    const owner = { isIdle: () => this.#users === 0, release: () => this.#end(open) };
    const ready = Promise.withResolvers<Framebuffer>();
    const run = async () => {
      const connection = await Connection.open(await socketPath());
      const reserve = (size: { width: number; height: number }) => memory.reserve(owner, size);
      const framebuffer = new Framebuffer({ connection, turn, reserve });
      const opened = framebuffer.sync().then(() => onOpen?.(framebuffer));
      opened.then(() => ready.resolve(framebuffer), ready.reject);
      await framebuffer.run(stop.signal);
    };
    const open: Open = {
      framebuffer: ready.promise,
      stop,
      ended: run()
        .catch((error: unknown) => ready.reject(error))
        .finally(() => {
          memory.free(owner);
          this.#end(open);
          onEnd?.();
        }),
    };
    open.framebuffer.catch(() => undefined);
    return open;
  }
}
