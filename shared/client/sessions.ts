import type { Socket } from 'socket.io-client';
import type { SessionInputs, SessionKind } from '../contract/sessions/registry.ts';
import type { Ack } from '../contract/tickets.ts';
import { backoff } from '../runtime/backoff.ts';
import { type SessionFrame, TICK_MS } from '../runtime/session/frames.ts';
import {
  type Attached,
  AttachedSession,
  type ClientSession,
  type Closed,
  SessionRefusedError,
} from './session.ts';
import { openSocket, type SocketOptions } from './socket.ts';

const OPEN_MS = 15_000;
/** Frames that a connection sends per second and in one burst. The relay closes one that sends many more. */
const SEND_RATE = { perSecond: 150, burst: 100 };

/** Options of `Connection.session`. */
export type OpenSessionOptions<Kind extends SessionKind> = {
  /** The container to connect to. */
  containerId: string;
  /** The input of the session. Omit it for a kind without one. */
  input?: SessionInputs[Kind];
  /** The expected incarnation of the container. Any other is refused with `gone_incarnation`. */
  incarnation?: number;
  /** Aborts the opening or, later, the session. */
  signal?: AbortSignal;
};

type SessionMessage = { sessionId: string };

/** The sessions of one client. Their own connection keeps them from delaying screens and events. */
export class ClientSessions {
  readonly #options: SocketOptions;
  readonly #sessions = new Map<string, AttachedSession>();
  #socket: Socket | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;
  #opening = 0;
  #refusals = 0;
  #closed = false;
  /** When a complete burst is allowed again, on the clock of `performance.now()`, ms. */
  #fullAt = 0;
  #flushing: ReturnType<typeof setTimeout> | undefined;
  /** Counts the turns of the sessions to send. */
  #turns = 0;

  constructor(options: SocketOptions) {
    this.#options = options;
  }

  /**
   * Opens a session.
   *
   * @throws SessionRefusedError when it is refused, or the reason of the signal when that aborts
   */
  async open<Kind extends SessionKind>(
    kind: Kind,
    { containerId, input, incarnation, signal }: OpenSessionOptions<Kind>,
  ): Promise<ClientSession<Kind>> {
    signal?.throwIfAborted();
    if (this.#closed)
      throw new SessionRefusedError('unavailable', 'The connection is closed. Connect again.');
    this.#opening += 1;
    try {
      const socket = this.#connect();
      const request = {
        kind,
        containerId,
        input: input ?? {},
        ...(incarnation === undefined ? {} : { incarnation }),
      };
      const { attached, session } = await this.#request(socket, request, signal);
      const abort = () => session.abort(signal?.reason instanceof Error ? signal.reason.message : undefined);
      signal?.addEventListener('abort', abort, { once: true });
      if (signal?.aborted) abort();
      const facade = session.facade<Kind>(attached);
      const settled = () => signal?.removeEventListener('abort', abort);
      facade.closed.then(settled, settled);
      return facade;
    } finally {
      this.#opening -= 1;
      this.#closeIfUnused();
    }
  }

  /** Aborts all sessions and refuses further ones. */
  close(): void {
    this.#closed = true;
    for (const session of [...this.#sessions.values()]) session.abort('The connection was closed.');
    this.#closeIfUnused();
  }

  #request(
    socket: Socket,
    request: object,
    signal: AbortSignal | undefined,
  ): Promise<{ attached: Attached; session: AttachedSession }> {
    return new Promise((resolve, reject) => {
      const fail = (error: unknown) => {
        signal?.removeEventListener('abort', aborted);
        socket.off('connect', send);
        clearTimeout(timer);
        reject(error);
      };
      const aborted = () => fail(signal?.reason);
      const unanswered = () =>
        fail(new SessionRefusedError('unavailable', 'The relay did not respond in time. Try again.'));
      const timer = setTimeout(unanswered, OPEN_MS);
      signal?.addEventListener('abort', aborted, { once: true });
      const send = () =>
        socket
          .timeout(OPEN_MS)
          .emit('session:open', request, (timedOut: Error | null, ack: Ack<Attached>) => {
            if (timedOut) return unanswered();
            if (!ack.ok) return fail(new SessionRefusedError(ack.code, ack.message));
            // Added at once, because its first bytes may follow in the same packet.
            const session = this.#add(ack, socket);
            clearTimeout(timer);
            signal?.removeEventListener('abort', aborted);
            resolve({ attached: ack, session });
          });
      if (socket.connected) send();
      else socket.once('connect', send);
    });
  }

  #add(attached: Attached, socket: Socket): AttachedSession {
    const { sessionId } = attached;
    const session = new AttachedSession(
      attached,
      socket,
      () => this.#flush(),
      () => {
        this.#sessions.delete(sessionId);
        this.#closeIfUnused();
      },
    );
    this.#sessions.set(sessionId, session);
    return session;
  }

  /** Closes a connection without sessions. */
  #closeIfUnused(): void {
    if (this.#sessions.size > 0 || this.#opening > 0) return;
    clearInterval(this.#timer);
    clearTimeout(this.#flushing);
    this.#flushing = undefined;
    const socket = this.#socket;
    this.#socket = undefined;
    // Deferred, so that a last abort is sent first.
    setTimeout(() => socket?.disconnect(), 0);
  }

  #connect(): Socket {
    if (this.#socket) return this.#socket;
    const socket = openSocket(this.#options);
    const each = (work: (session: AttachedSession) => void) => {
      for (const session of [...this.#sessions.values()]) work(session);
    };
    const reconnect = () => {
      this.#refusals += 1;
      setTimeout(() => this.#socket === socket && socket.connect(), backoff(this.#refusals, { maxMs: 5000 }));
    };
    socket.on('connect', () => {
      this.#refusals = 0;
      each((session) => session.attach());
    });
    socket.on('disconnect', () => {
      each((session) => session.detached());
      if (!socket.active) reconnect();
    });
    socket.on('connect_error', () => {
      if (!socket.active) reconnect();
    });
    this.#listen(socket);
    this.#socket = socket;
    this.#timer = setInterval(() => each((session) => session.tick()), TICK_MS);
    return socket;
  }

  #listen(socket: Socket): void {
    const find = ({ sessionId }: SessionMessage) => this.#sessions.get(sessionId);
    socket.on(
      'session:data',
      (message: SessionMessage & { offset: number; bytes: Uint8Array | ArrayBuffer }) => {
        const bytes = new Uint8Array(message.bytes);
        find(message)?.receive({ t: 'data', offset: message.offset, bytes });
      },
    );
    socket.on('session:end', (message: SessionMessage & { offset: number }) =>
      find(message)?.receive({ t: 'end', offset: message.offset }),
    );
    socket.on(
      'session:ack',
      ({ sessionId, ...ack }: SessionMessage & { received: number; consumed: number }) =>
        this.#sessions.get(sessionId)?.receive({ t: 'ack', ...ack }),
    );
    socket.on('session:closed', (message: SessionMessage & Closed) => find(message)?.close(message));
    socket.on('session:detached', (message: SessionMessage & { reason: string }) => {
      if (message.reason !== 'replaced') find(message)?.attach();
    });
  }

  /** Sends waiting frames, one of each session in turn, no faster than `SEND_RATE`. */
  #flush(): void {
    const socket = this.#socket;
    if (this.#flushing !== undefined || !socket?.connected) return;
    for (;;) {
      const waitMs = this.#waitMs();
      if (waitMs > 0) {
        this.#flushing = setTimeout(() => {
          this.#flushing = undefined;
          this.#flush();
        }, waitMs);
        return;
      }
      const due = this.#next();
      if (!due) return;
      this.#fullAt = Math.max(this.#fullAt, performance.now()) + 1000 / SEND_RATE.perSecond;
      const { t, ...frame } = due.frame;
      socket.emit(`session:${t}`, { sessionId: due.sessionId, ...frame });
    }
  }

  #next(): { sessionId: string; frame: SessionFrame } | undefined {
    const sessions = [...this.#sessions.values()];
    for (let tried = 0; tried < sessions.length; tried++) {
      const session = sessions[this.#turns++ % sessions.length];
      const frame = session?.next();
      if (session && frame) return { sessionId: session.sessionId, frame };
    }
    return undefined;
  }

  #waitMs(): number {
    const burstMs = (SEND_RATE.burst * 1000) / SEND_RATE.perSecond;
    return Math.max(0, this.#fullAt - performance.now() - burstMs);
  }
}
