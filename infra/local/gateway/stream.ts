/** Between two heartbeats, so that no proxy takes a quiet stream for a dead one, ms. */
const HEARTBEAT_MS = 15_000;

type EventStreamOptions = {
  /** Bytes that may wait for a client which does not read; above them it is disconnected. */
  backlogBytes: number;
  /** The longest that the stream lives, ms. */
  lifeMs: number;
  /** Closes its connection. */
  close: () => void;
  /** Called once at any end. */
  onEnd: () => void;
};

/** Server-sent events for one client, bounded in bytes and in time. */
export class EventStream {
  readonly body: ReadableStream<Uint8Array>;
  readonly #onEnd: () => void;
  readonly #close: () => void;
  readonly #timers: NodeJS.Timeout[];
  #controller!: ReadableStreamDefaultController<Uint8Array>;
  #ended = false;

  constructor({ backlogBytes, lifeMs, close, onEnd }: EventStreamOptions) {
    this.#close = close;
    this.#onEnd = onEnd;
    const source = {
      start: (controller: ReadableStreamDefaultController<Uint8Array>) => {
        this.#controller = controller;
      },
      cancel: () => this.#end(),
    };
    this.body = new ReadableStream(source, {
      highWaterMark: backlogBytes,
      size: ({ byteLength }) => byteLength,
    });
    this.#timers = [
      setInterval(() => this.#write(':\n\n'), HEARTBEAT_MS).unref(),
      setTimeout(() => this.close(), lifeMs).unref(),
    ];
  }

  /** One event; a text of several lines is one event too. */
  send(text: string): void {
    this.#write(`data: ${text.replaceAll(/\r\n|\r|\n/g, '\ndata: ')}\n\n`);
  }

  /** Ends it after the waiting events. */
  close(): void {
    if (this.#ended) return;
    this.#end();
    this.#controller.close();
  }

  #write(text: string): void {
    if (this.#ended) return;
    const bytes = Buffer.from(text);
    if (bytes.length <= (this.#controller.desiredSize ?? 0)) {
      this.#controller.enqueue(bytes);
      return;
    }
    this.close();
    this.#close();
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#onEnd();
  }
}
