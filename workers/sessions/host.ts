import type { SessionCommand } from '@warmwind/shared/contract/command';
import { ApiError, type ErrorCode } from '@warmwind/shared/contract/errors';
import { SESSION_GRACE_MS, type SessionCode } from '@warmwind/shared/contract/sessions/codes';
import { findSessionCommand, type SessionKind } from '@warmwind/shared/contract/sessions/registry';
import { sessionKeys } from '@warmwind/shared/engine/keys';
import { hashInput } from '@warmwind/shared/engine/node/input-hash';
import type { ContainerRef } from '@warmwind/shared/engine/node/records';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import { TICK_MS } from '@warmwind/shared/runtime/session/frames';
import {
  type FromSessionHost,
  packSessionMessage,
  readToSessionHost,
  type ToSessionHost,
} from '@warmwind/shared/runtime/session/messages';
import type { Redis } from 'ioredis';
import type { Engine } from '../containers/engine.ts';
import type { SessionHandler } from './handler.ts';
import { HostSession } from './session.ts';

/** Most open sessions of one container, and of this process. */
const MOST = { ofContainer: 32, ofHost: 500 };

export type SessionHostOptions = {
  engine: Pick<Engine, 'socketPath'>;
  /** The realtime Redis, on own connections: a fail-fast one, and a queueing one for subscriptions alone. */
  redis: Redis;
  subscriber: Redis;
  handlers: Record<SessionKind, SessionHandler<never>>;
  /** Called while a session of the container is open: the container is in use. */
  onUse: (containerId: string) => void;
  /**
   * Waits until a container that is paused runs.
   * @throws ApiError when it does not
   */
  awake: (ref: ContainerRef) => Promise<void>;
  /** Whether this process may act for its host now; messages are dropped while it may not. */
  mayAct?: () => boolean;
  /** For tests: other kinds of sessions, and another grace, ms. */
  findCommand?: (kind: string) => SessionCommand<SessionKind> | undefined;
  graceMs?: number;
  log: Logger;
};

/** `incarnation`: the fence of its placement. */
type Here = { userId: string; engineId: string; incarnation: number };
type Open = Extract<ToSessionHost, { t: 'open' }>;

/** The sessions of all containers that run on this host. */
export class SessionHost {
  readonly #o: SessionHostOptions;
  readonly #here = new Map<string, Here>();
  readonly #sessions = new Map<string, HostSession>();
  /** Sessions whose container is being resumed. */
  readonly #waiting = new Set<string>();
  readonly #timer: NodeJS.Timeout;
  #stopped = false;

  constructor(options: SessionHostOptions) {
    this.#o = options;
    options.subscriber.on('smessageBuffer', (_channel: Buffer, message: Buffer) => this.#receive(message));
    this.#timer = setInterval(() => this.#tick(), TICK_MS).unref();
  }

  /** Sessions that have not ended. */
  get size(): number {
    return this.#sessions.values().reduce((sum, { isClosed }) => sum + (isClosed ? 0 : 1), 0);
  }

  /** Memory of the buffers of all sessions, bytes. */
  get capacity(): number {
    return this.#sessions.values().reduce((sum, { capacity }) => sum + capacity, 0);
  }

  /** Registers a container of this user that runs here. Called periodically. */
  runs({ userId, containerId }: ContainerRef, engineId: string, incarnation: number): void {
    const known = this.#here.get(containerId);
    if (this.#stopped || (known?.engineId === engineId && known.incarnation === incarnation)) return;
    if (known) this.#endAll('container_ended', CONTAINER_ENDED, containerId);
    this.#here.set(containerId, { userId, engineId, incarnation });
    this.#o.subscriber.ssubscribe(sessionKeys.up(containerId)).catch(() => undefined);
  }

  /** Ends the sessions of a container that ended. */
  ended(containerId: string): void {
    this.#forget(containerId);
    this.#endAll('container_ended', CONTAINER_ENDED, containerId);
  }

  /** Ends all sessions: another process may hold this host's lease now. */
  forgetAll(): void {
    for (const containerId of [...this.#here.keys()]) this.#forget(containerId);
    this.#endAll('worker_stopping', "The container's worker stopped. Open the session again.");
  }

  /** Ends all sessions; resolves when their handlers have returned. Never rejects. */
  async close(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#timer);
    this.forgetAll();
    await Promise.all(this.#sessions.values().map(({ done }) => done));
  }

  #forget(containerId: string): void {
    if (!this.#here.delete(containerId)) return;
    this.#o.subscriber.sunsubscribe(sessionKeys.up(containerId)).catch(() => undefined);
  }

  #endAll(code: SessionCode, message: string, containerId?: string): void {
    for (const session of this.#sessions.values()) {
      if (containerId === undefined || session.containerId === containerId) session.end(code, message);
    }
  }

  #tick(): void {
    for (const [id, session] of this.#sessions) {
      session.tick();
      if (session.isForgotten) this.#sessions.delete(id);
      else if (!session.isClosed) this.#o.onUse(session.containerId);
    }
  }

  #receive(message: Buffer): void {
    if (this.#o.mayAct?.() === false) return;
    const read = readToSessionHost(message);
    if (!read) return;
    const { session: id, link, head, bytes } = read;
    const session = this.#sessions.get(id);
    if (head.t === 'open') void this.#open(id, link, head);
    else if (head.t === 'attach') {
      if (session?.userId === head.userId) session.attach(link, head.received);
      else this.#refuse(link, 'not_found', 'There is no such session: open another one.');
    } else if (session) session.receive(link, head, bytes);
    else if (head.t !== 'detach' && !this.#waiting.has(id)) this.#publish(link, GONE).catch(() => undefined);
  }

  /** Never rejects. */
  async #open(id: string, link: string, request: Open): Promise<void> {
    if (this.#sessions.has(id) || this.#waiting.has(id)) return;
    this.#waiting.add(id);
    try {
      const here = this.#check(request);
      await this.#o.awake({ userId: here.userId, containerId: request.envelope.containerId });
      this.#sessions.set(id, this.#create(link, request));
    } catch (error) {
      if (error instanceof ApiError) this.#refuse(link, error.code, error.message);
      else {
        this.#o.log.error({ kind: request.kind, err: error }, 'session not opened');
        this.#refuse(link, 'internal', 'The session could not be opened. Try again.');
      }
    } finally {
      this.#waiting.delete(id);
    }
  }

  /**
   * Finds the container of a session.
   * @throws ApiError when it does not run here, or the request is too old
   */
  #check({ envelope: { userId, containerId, incarnation, deadline } }: Open): Here {
    const here = this.#here.get(containerId);
    if (here?.userId !== userId || deadline < Date.now()) {
      throw new ApiError('unavailable', 'The container does not run on this host now. Try again.');
    }
    if (here.incarnation !== incarnation) {
      throw new ApiError(
        'gone_incarnation',
        'The container was replaced by a new incarnation. Read it again.',
      );
    }
    return here;
  }

  /** @throws ApiError when the session is refused: nothing has happened */
  #create(link: string, request: Open): HostSession {
    const { engine, handlers, graceMs = SESSION_GRACE_MS, findCommand = findSessionCommand, log } = this.#o;
    const { envelope, kind, input } = request;
    const { containerId, inputHash } = envelope;
    const here = this.#check(request);
    const command = findCommand(kind);
    if (!command || hashInput(input) !== inputHash) {
      throw new ApiError('bad_request', 'The host does not support this session. Check its kind.');
    }
    const parsed = command.input.safeParse(JSON.parse(input));
    if (!parsed.success) throw new ApiError('bad_request', 'Correct the input of the session.');
    this.#checkRoom(containerId);
    const options = {
      command,
      envelope,
      handler: handlers[command.kind],
      input: parsed.data,
      socketPath: () => engine.socketPath(here.engineId),
      publish: this.#publish,
      graceMs,
      log,
    };
    return new HostSession(options, link);
  }

  #checkRoom(containerId: string): void {
    const open = [...this.#sessions.values()].filter(({ isClosed }) => !isClosed);
    const used = open.filter((session) => session.containerId === containerId).length;
    if (used < MOST.ofContainer && open.length < MOST.ofHost) return;
    throw new ApiError('quota_exceeded', `The container has ${used} open sessions. End some first.`, {
      used,
    });
  }

  #refuse(link: string, code: ErrorCode, message: string): void {
    this.#publish(link, { t: 'refused', code, message }).catch(() => undefined);
  }

  readonly #publish = async (link: string, head: FromSessionHost, bytes?: Uint8Array): Promise<number> => {
    const message = packSessionMessage(head, bytes);
    return Number(await this.#o.redis.spublish(sessionKeys.down(link), Buffer.from(message.buffer)));
  };
}

const CONTAINER_ENDED = 'The container ended. Start another one.';
const GONE: FromSessionHost = {
  t: 'closed',
  code: 'lost',
  message: 'The session no longer exists on its host. Open another one.',
};
