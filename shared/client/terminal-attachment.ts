import type { SessionInputs } from '../contract/sessions/registry.ts';
import { type TerminalExit, TerminalNotice, type TerminalSize } from '../contract/sessions/terminal.ts';
import { backoff } from '../runtime/backoff.ts';
import { encodeTerminalMessage, readTerminalMessages } from '../runtime/session/terminal-stream.ts';
import { pause } from './pause.ts';
import { type ClientSession, SessionClosedError, SessionRefusedError } from './session.ts';
import type { OpenSessionOptions } from './sessions.ts';
import { TerminalError } from './terminal-error.ts';

/** How long a terminal that lost its host attaches again, ms. */
const ATTACH_AGAIN_MS = 120_000;
/** Failures after which it attaches again. */
const PASSING: readonly string[] = [
  'unavailable',
  'rate_limited',
  'internal',
  'lost',
  'failed',
  'worker_stopping',
  'deadline_exceeded',
];

type Session = Pick<ClientSession<'container.terminal'>, 'incarnation' | 'readable' | 'writable' | 'closed'>;

/** Opens a session of a terminal, as `Connection.session` does. */
export type OpenTerminalSession = (
  kind: 'container.terminal',
  options: OpenSessionOptions<'container.terminal'>,
) => Promise<Session>;

export type TerminalAttachmentOptions = {
  session: OpenTerminalSession;
  containerId: string;
  /** The output that was received before, bytes. */
  after?: number;
  /** Takes output; the next follows once it has resolved. @param offset the bytes of output before it */
  onOutput: (bytes: Uint8Array, offset: number) => Promise<void>;
  /** Called with the number of bytes of output that were overwritten before they were received. */
  onGap?: ((bytes: number) => void) | undefined;
  /** Called after the terminal was attached again because its host was away: input may have been lost. */
  onReattached?: (() => void) | undefined;
};

type Input = SessionInputs['container.terminal'];
/** A session of the terminal whose first notice was received. */
type Attached = { session: Session; messages: AsyncGenerator<Uint8Array | TerminalNotice, void> };

/** An attachment to a terminal, over as many sessions as it needs. */
export class TerminalAttachment {
  readonly #options: TerminalAttachmentOptions;
  /** Aborted when the attachment has ended. */
  readonly #over = new AbortController();
  readonly #exited = Promise.withResolvers<TerminalExit>();
  /** The writer of the present session. */
  #input = Promise.withResolvers<WritableStreamDefaultWriter<Uint8Array>>();
  #size: TerminalSize | undefined;
  #isResizing = false;
  #isAttached = false;
  #ttyId = '';
  #incarnation = 0;
  #offset: number;

  constructor(options: TerminalAttachmentOptions) {
    this.#options = options;
    this.#offset = options.after ?? 0;
    for (const { promise } of [this.#exited, this.#input]) promise.catch(() => undefined);
  }

  get ttyId(): string {
    return this.#ttyId;
  }

  get incarnation(): number {
    return this.#incarnation;
  }

  /** The position after the last output that was taken. */
  get offset(): number {
    return this.#offset;
  }

  /** False while its host is away: input waits. */
  get isAttached(): boolean {
    return this.#isAttached;
  }

  /** Resolves when the program has ended and all its output was taken; rejects when the attachment ends. */
  get exited(): Promise<TerminalExit> {
    return this.#exited.promise;
  }

  /**
   * Opens the terminal, or attaches to it.
   * @param incarnation the expected incarnation of the container
   * @throws TerminalError when it is refused, or the reason of {@link TerminalAttachment.end}
   */
  async start(input: Input, incarnation?: number): Promise<void> {
    const attached = await this.#attach(input, incarnation).catch((error: unknown): never => {
      this.end(error);
      throw error;
    });
    void this.#run(attached);
  }

  /** Sends input once the terminal is attached. Input of a session that ends is not sent again. */
  send(bytes: Uint8Array): Promise<void> {
    return this.#send(encodeTerminalMessage(bytes));
  }

  /** Sends the latest size. Never rejects. */
  async resize({ cols, rows }: TerminalSize): Promise<void> {
    this.#size = { cols, rows };
    if (this.#isResizing) return;
    this.#isResizing = true;
    for (let next: TerminalSize | undefined = this.#size; next; next = this.#size) {
      this.#size = undefined;
      await this.#send(encodeTerminalMessage({ t: 'size', ...next })).catch(() => undefined);
    }
    this.#isResizing = false;
  }

  /** Ends the attachment; the terminal continues. Has no effect on one that has ended. */
  end(reason: unknown): void {
    if (this.#over.signal.aborted) return;
    this.#isAttached = false;
    this.#over.abort(reason);
    this.#exited.reject(reason);
    this.#input.reject(reason);
  }

  /** @throws TerminalError, or the reason of {@link TerminalAttachment.end} */
  async #attach(input: Input, incarnation?: number): Promise<Attached> {
    const { containerId } = this.#options;
    const pinned = incarnation === undefined ? {} : { incarnation };
    try {
      const session = await this.#options.session('container.terminal', {
        containerId,
        input,
        signal: this.#over.signal,
        ...pinned,
      });
      const messages = readTerminalMessages(session.readable, TerminalNotice);
      const { value: first } = await messages.next();
      if (first === undefined || first instanceof Uint8Array || first.t === 'gap') {
        throw new TerminalError(
          'protocol_error',
          'The host answered in another protocol. Update the client.',
        );
      }
      if (first.t === 'refused') throw new TerminalError(first.code, first.message);
      this.#ttyId = first.ttyId;
      this.#incarnation = session.incarnation;
      this.#continueAt(first.offset);
      this.#input.resolve(session.writable.getWriter());
      this.#isAttached = true;
      return { session, messages };
    } catch (error) {
      throw terminalErrorOf(error);
    }
  }

  /** Reads sessions of the terminal, one after the other, until it ends. Never rejects. */
  async #run(first: Attached): Promise<void> {
    for (let attached: Attached | undefined = first; attached; ) {
      const present: Attached = attached;
      const failure = await this.#read(present).then(
        () => undefined,
        (error: unknown) => terminalErrorOf(error),
      );
      if (!failure) return;
      attached = await this.#attachAgain(failure);
    }
  }

  /** Reads one session to its end. */
  async #read({ session, messages }: Attached): Promise<void> {
    for await (const message of messages) {
      if (message instanceof Uint8Array) {
        await this.#options.onOutput(message, this.#offset);
        this.#offset += message.length;
      } else if (message.t === 'gap') this.#continueAt(message.offset);
    }
    const { code = null, signal } = await session.closed;
    this.#exited.resolve({ code, ...(signal === undefined ? {} : { signal }) });
    this.end(new TerminalError('completed', 'The program has ended. Open another terminal.'));
  }

  /** @returns `undefined` once the attachment has ended */
  async #attachAgain(failure: unknown): Promise<Attached | undefined> {
    const lastAt = performance.now() + ATTACH_AGAIN_MS;
    this.#isAttached = false;
    this.#input = Promise.withResolvers();
    this.#input.promise.catch(() => undefined);
    let error = failure;
    for (let attempts = 1; !this.#over.signal.aborted; attempts++) {
      const isPassing = error instanceof TerminalError && PASSING.includes(error.code);
      if (!isPassing || performance.now() > lastAt) this.end(error);
      await pause(backoff(attempts, { maxMs: 3000 }), this.#over.signal).catch(() => undefined);
      if (this.#over.signal.aborted) break;
      const attached = await this.#attach({ ttyId: this.#ttyId, after: this.#offset }).catch(
        (next: unknown) => {
          error = next;
        },
      );
      if (!attached) continue;
      this.#options.onReattached?.();
      return attached;
    }
    this.#input.reject(this.#over.signal.reason);
    return undefined;
  }

  #continueAt(offset: number): void {
    const missing = offset - this.#offset;
    this.#offset = offset;
    if (missing > 0) this.#options.onGap?.(missing);
  }

  async #send(message: Uint8Array): Promise<void> {
    this.#over.signal.throwIfAborted();
    const writer = await this.#input.promise;
    await writer.write(message).catch(() => this.#over.signal.throwIfAborted());
  }
}

/**
 * Ends a terminal and every process that it started; resolves with its end when they are gone.
 * @throws TerminalError when the terminal or its host can't be reached
 */
export async function closeTerminal(
  session: OpenTerminalSession,
  { containerId, ttyId }: { containerId: string; ttyId: string },
): Promise<Partial<TerminalExit>> {
  try {
    const input = { ttyId, close: true } as const;
    const closing = await session('container.terminal', { containerId, input });
    for await (const message of readTerminalMessages(closing.readable, TerminalNotice)) {
      if (message instanceof Uint8Array || message.t !== 'refused') continue;
      throw new TerminalError(message.code, message.message);
    }
    return await closing.closed;
  } catch (error) {
    throw terminalErrorOf(error);
  }
}

/** @returns a failure of a session as one of its terminal; any other error as it is */
function terminalErrorOf(error: unknown): unknown {
  const isOfSession = error instanceof SessionRefusedError || error instanceof SessionClosedError;
  return isOfSession ? new TerminalError(error.code, error.message, { cause: error }) : error;
}
