import { ApiError } from '@warmwind/shared/contract/errors';
import { newId } from '@warmwind/shared/contract/ids';
import { type SessionFrame, WINDOW_BYTES } from '@warmwind/shared/runtime/session/frames';
import { type FromSessionHost, frameOf, type ToSessionHost } from '@warmwind/shared/runtime/session/messages';
import { withTimeout } from '@warmwind/shared/runtime/timeout';
import { LIMITS } from '../limits.ts';

export type Attached = Extract<FromSessionHost, { t: 'attached' }>;
export type Detached = 'host_away' | 'replaced' | 'overload';
/** The end of a session, as its host reports it. */
export type Ended = Omit<Extract<FromSessionHost, { t: 'closed' }>, 't'>;

/** The client's end of an attachment: a socket, or this node itself. */
export type LinkClient = {
  userId: string;
  /** Whether it takes no data now. The host sends dropped data again. */
  isCrowded: () => boolean;
  receive: (frame: SessionFrame) => void;
  closed: (ended: Ended) => void;
  detached: (reason: Detached) => void;
};

type Publish = (head: ToSessionHost, bytes?: Uint8Array) => Promise<number>;

/** The attachment of one client to one session. It carries frames, and keeps none. */
export class Link {
  readonly id = newId();
  readonly sessionId: string;
  readonly #client: LinkClient;
  readonly #publish: Publish;
  readonly #onClose: () => void;
  readonly #answer = Promise.withResolvers<Attached>();
  /** Bytes whose publication Redis has not answered yet. */
  #unsent = 0;
  #closed = false;
  /** Frames that arrived before the client was notified of the attachment. */
  #early: (() => void)[] | undefined = [];

  /** @param publish sends to the host; resolves with the number of subscribed processes */
  constructor(sessionId: string, client: LinkClient, publish: Publish, onClose: () => void) {
    this.sessionId = sessionId;
    this.#client = client;
    this.#publish = publish;
    this.#onClose = onClose;
    this.#answer.promise.catch(() => undefined);
  }

  /**
   * Opens the session, or attaches to it.
   * @throws ApiError with the host's refusal, or `unavailable` when the host does not answer
   */
  async request(head: Extract<ToSessionHost, { t: 'open' | 'attach' }>): Promise<Attached> {
    try {
      if ((await this.#publish(head).catch(unavailable)) === 0) unavailable();
      return await withTimeout(this.#answer.promise, LIMITS.sessionOpenMs, unavailable);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Sends a frame of the client, or its abort, to the host. Resolves once Redis has answered; never rejects. */
  async send(head: ToSessionHost, bytes: Uint8Array = NONE): Promise<void> {
    if (this.#closed) return;
    this.#unsent += bytes.length;
    if (this.#unsent > WINDOW_BYTES) {
      this.detach('overload');
      return;
    }
    const hosts = await this.#publish(head, bytes).catch(() => 0);
    this.#unsent -= bytes.length;
    if (hosts === 0) this.detach('host_away');
  }

  /** Passes on the frames that arrived before the client was notified of the attachment. */
  begin(): void {
    const early = this.#early ?? [];
    this.#early = undefined;
    for (const pass of early) pass();
  }

  /** Handles a message of the host. */
  receive(head: FromSessionHost, bytes: Uint8Array): void {
    if (head.t === 'attached') this.#answer.resolve(head);
    else if (head.t === 'refused') this.#answer.reject(new ApiError(head.code, head.message));
    else if (this.#early) this.#early.push(() => this.#pass(head, bytes));
    else this.#pass(head, bytes);
  }

  #pass(head: Exclude<FromSessionHost, { t: 'attached' | 'refused' }>, bytes: Uint8Array): void {
    if (this.#closed) return;
    switch (head.t) {
      case 'replaced':
        this.detach('replaced');
        break;
      case 'closed': {
        const { t: _, ...ended } = head;
        this.#client.closed(ended);
        this.#forget();
        break;
      }
      case 'data':
        // The host sends a dropped frame again when the client reports the gap.
        if (!this.#client.isCrowded()) this.#client.receive(frameOf(head, bytes));
        break;
      default:
        this.#client.receive(frameOf(head, bytes));
    }
  }

  /** Detaches when the client's connection or this node closes. The session waits for the next attachment. */
  close(): void {
    if (this.#closed) return;
    this.#publish({ t: 'detach' }).catch(() => undefined);
    this.#forget();
  }

  /** Reports to the client that it must attach again. */
  detach(reason: Detached): void {
    if (this.#closed) return;
    this.#client.detached(reason);
    if (reason === 'overload') this.close();
    else this.#forget();
  }

  #forget(): void {
    this.#closed = true;
    this.#answer.reject(
      new ApiError('conflict', 'The session was left before it was attached: attach again.'),
    );
    this.#onClose();
  }
}

const NONE = new Uint8Array(0);

const unavailable = (): never => {
  throw new ApiError('unavailable', "The container's host does not answer now: try again in a moment.", {
    retryAfterMs: 1000,
  });
};
