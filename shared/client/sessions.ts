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
/** Frames that a connection sends, a second and at once: the relay closes one that sends many more. */
const PACE = { perSecond: 150, burst: 100 };

export type OpenSessionOptions<Kind extends SessionKind> = {
  containerId: string;
  /** Left out where the kind takes none. */
  input?: SessionInputs[Kind];
  /** Refused with `gone_incarnation` when the container is another one by now. */
  incarnation?: number;
  /** Ends the opening or, later, the session. */
  signal?: AbortSignal;
};

type Said = { sessionId: string };

/** The sessions of one client, on a connection of their own: bulk bytes do not delay screens and events. */
export class ClientSessions {
  readonly #options: SocketOptions;
  readonly #sessions = new Map<string, AttachedSession>();
  #socket: Socket | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;
  #opening = 0;
  #refusals = 0;
  #closed = false;
  /** When the pace allows all of its burst again. */
  #fullAt = 0;
  #flushing: ReturnType<typeof setTimeout> | undefined;
  /** Whose turn it is to send. */
  #turn = 0;

  constructor(options: SocketOptions) {
    this.#options = options;
  }

  /** @throws SessionRefusedError, or the reason of the signal */
  async open<Kind extends SessionKind>(
    kind: Kind,
    { containerId, input, incarnation, signal }: OpenSessionOptions<Kind>,
  ): Promise<ClientSession<Kind>> {
    signal?.throwIfAborted();
    if (this.#closed)
      throw new SessionRefusedError('unavailable', 'The connection is closed: connect again.');
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
      this.#rest();
    }
  }

  /** Aborts all. */
  close(): void {
    this.#closed = true;
    for (const session of [...this.#sessions.values()]) session.abort('The connection was closed.');
    this.#rest();
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
        fail(new SessionRefusedError('unavailable', 'The relay did not answer: try again.'));
      const timer = setTimeout(unanswered, OPEN_MS);
      signal?.addEventListener('abort', aborted, { once: true });
      const send = () =>
        socket.timeout(OPEN_MS).emit('session:open', request, (late: Error | null, ack: Ack<Attached>) => {
          if (late) return unanswered();
          if (!ack.ok) return fail(new SessionRefusedError(ack.code, ack.message));
          // At once: its first bytes may follow in the same packet.
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
        this.#rest();
      },
    );
    this.#sessions.set(sessionId, session);
    return session;
  }

  /** A connection that nobody needs is closed. */
  #rest(): void {
    if (this.#sessions.size > 0 || this.#opening > 0) return;
    clearInterval(this.#timer);
    clearTimeout(this.#flushing);
    this.#flushing = undefined;
    const socket = this.#socket;
    this.#socket = undefined;
    // After the abort that may have been sent last.
    setTimeout(() => socket?.disconnect(), 0);
  }

  #connect(): Socket {
    if (this.#socket) return this.#socket;
    const socket = openSocket(this.#options);
    const each = (work: (session: AttachedSession) => void) => {
      for (const session of [...this.#sessions.values()]) work(session);
    };
    const again = () => {
      this.#refusals += 1;
      setTimeout(() => this.#socket === socket && socket.connect(), backoff(this.#refusals, { maxMs: 5000 }));
    };
    socket.on('connect', () => {
      this.#refusals = 0;
      each((session) => session.attach());
    });
    socket.on('disconnect', () => {
      each((session) => session.detached());
      if (!socket.active) again();
    });
    socket.on('connect_error', () => {
      if (!socket.active) again();
    });
    this.#listen(socket);
    this.#socket = socket;
    this.#timer = setInterval(() => each((session) => session.tick()), TICK_MS);
    return socket;
  }

  #listen(socket: Socket): void {
    const find = ({ sessionId }: Said) => this.#sessions.get(sessionId);
    socket.on('session:data', (said: Said & { offset: number; bytes: Uint8Array | ArrayBuffer }) => {
      const bytes = new Uint8Array(said.bytes);
      find(said)?.receive({ t: 'data', offset: said.offset, bytes });
    });
    socket.on('session:end', (said: Said & { offset: number }) =>
      find(said)?.receive({ t: 'end', offset: said.offset }),
    );
    socket.on('session:ack', ({ sessionId, ...ack }: Said & { received: number; consumed: number }) =>
      this.#sessions.get(sessionId)?.receive({ t: 'ack', ...ack }),
    );
    socket.on('session:closed', (said: Said & Closed) => find(said)?.close(said));
    socket.on('session:detached', (said: Said & { reason: string }) => {
      if (said.reason !== 'replaced') find(said)?.attach();
    });
  }

  /** Sends what is due, one frame of each session in turn, no faster than the relay takes it. */
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
      this.#fullAt = Math.max(this.#fullAt, performance.now()) + 1000 / PACE.perSecond;
      const { t, ...frame } = due.frame;
      socket.emit(`session:${t}`, { sessionId: due.sessionId, ...frame });
    }
  }

  #next(): { sessionId: string; frame: SessionFrame } | undefined {
    const sessions = [...this.#sessions.values()];
    for (let tried = 0; tried < sessions.length; tried++) {
      const session = sessions[this.#turn++ % sessions.length];
      const frame = session?.next();
      if (session && frame) return { sessionId: session.sessionId, frame };
    }
    return undefined;
  }

  #waitMs(): number {
    const ahead = this.#fullAt - performance.now() - (PACE.burst * 1000) / PACE.perSecond;
    return Math.max(0, ahead);
  }
}
