import { callTimedOut, goneIncarnation } from '@warmwind/shared/contract/call-refusal';
import { readToCallHost, type ToCallHost } from '@warmwind/shared/contract/call-wire';
import { ApiError } from '@warmwind/shared/contract/errors';
import { callKeys } from '@warmwind/shared/engine/keys';
import { hashInput } from '@warmwind/shared/engine/node/input-hash';
import type { ContainerRef } from '@warmwind/shared/engine/node/records';
import { jsonText } from '@warmwind/shared/runtime/json';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import { withTimeout } from '@warmwind/shared/runtime/timeout';
import type { Redis } from 'ioredis';
import { type Call, type CallRoute, done, failed, type Settled, UNKNOWN } from './call.ts';
import { type Claims, claimHashOf } from './claims.ts';
import { OpenCalls } from './open-calls.ts';
import type { Replies } from './replies.ts';
import { SerialTasks } from './turns.ts';

/** Most calls with effects of one container that wait for their turn. */
const MAX_WAITING = 8;
/** Most reads and concurrent calls of one container at once. */
const MAX_CONCURRENT = 32;
/** Difference allowed between the clocks of hosts, ms: added to the command's limit to cap a deadline. */
const CLOCK_SKEW_MS = 2000;
/** How long a handler that ignores its signal keeps other calls waiting, ms. */
const STUCK_MS = 5000;
/** How long a call that was aborted for a pause may take to end, ms. */
const ABORTED_MS = 500;
/** How long open calls may still take when this process stops, ms. */
const FINISH_MS = 3000;

export type CallHostOptions = {
  routes: readonly CallRoute[];
  claims: Claims;
  replies: Replies;
  /** The calls that have not ended; a registry of its own if left out. */
  open?: OpenCalls;
  /** The realtime Redis, a queueing connection for calls alone. */
  subscriber: Redis;
  /** Called for each call to this container. */
  onCall: (containerId: string) => void;
  /**
   * Waits until a container that is paused runs, for a call that needs that.
   * @throws ApiError when it does not
   */
  awake: (ref: ContainerRef, signal: AbortSignal) => Promise<void>;
  /** Whether this process may act for its host now; messages are dropped while it may not. */
  mayAct?: () => boolean;
  log: Logger;
};

type Message = Extract<ToCallHost, { t: 'call' }>;
/** A container that runs here. */
type Served = ContainerRef & { incarnation: number; turns: SerialTasks; reads: number };
/** A call that passed all checks. */
type Accepted = { message: Message; route: CallRoute; served: Served; call: Call };

/** Takes the calls for all containers that run on this host. */
export class CallHost {
  readonly #o: CallHostOptions;
  readonly #routes: ReadonlyMap<string, CallRoute>;
  readonly #served = new Map<string, Served>();
  readonly #open: OpenCalls;
  #isClosed = false;

  constructor(options: CallHostOptions) {
    this.#o = options;
    this.#open = options.open ?? new OpenCalls();
    this.#routes = new Map(options.routes.map((route) => [route.command.kind, route]));
    options.subscriber.on('smessage', (channel: string, text: string) => this.#receive(channel, text));
  }

  start(): void {
    this.#o.claims.start();
  }

  /** Registers a container of this user that runs here. Called periodically. */
  runs({ userId, containerId }: ContainerRef, incarnation: number): void {
    const known = this.#served.get(containerId);
    if (this.#isClosed) return;
    if (known) {
      known.incarnation = incarnation;
      return;
    }
    const turns = new SerialTasks(MAX_WAITING);
    this.#served.set(containerId, { userId, containerId, incarnation, turns, reads: 0 });
    this.#o.subscriber.ssubscribe(callKeys.inbox(containerId)).catch(() => undefined);
  }

  /** Aborts the calls of a container that ended. */
  ended(containerId: string): void {
    if (!this.#served.delete(containerId)) return;
    this.#o.subscriber.sunsubscribe(callKeys.inbox(containerId)).catch(() => undefined);
    this.#open.abortOf(containerId);
  }

  /** Whether calls to a container are open. */
  hasOpen(containerId: string): boolean {
    return this.#open.hasOpen(containerId);
  }

  /**
   * Waits for the open calls to a container, and aborts those that take longer. Never rejects.
   * @param reason the error that they receive; the outcome of one with effects is unknown
   */
  async finish(containerId: string, withinMs: number, reason: ApiError): Promise<void> {
    const ended = this.#open.endedOf(containerId);
    await withTimeout(ended, withinMs, () => this.#open.abortOf(containerId, reason));
    await withTimeout(ended, ABORTED_MS, () => undefined);
  }

  /** Stops serving all containers and aborts their calls: another process may hold this host's lease now. */
  forgetAll(): void {
    for (const containerId of [...this.#served.keys()]) this.ended(containerId);
  }

  /** Takes no more calls, waits for the open ones, and aborts those that do not end. Never rejects. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const containerId of this.#served.keys()) {
      this.#o.subscriber.sunsubscribe(callKeys.inbox(containerId)).catch(() => undefined);
    }
    await withTimeout(this.#open.ended(), FINISH_MS, () => undefined);
    this.forgetAll();
    await withTimeout(this.#open.ended(), FINISH_MS, () => undefined);
    await this.#o.claims.close();
  }

  #receive(channel: string, text: string): void {
    if (this.#o.mayAct?.() === false) return;
    const message = readToCallHost(text);
    if (message?.t === 'abort') this.#open.abort(message.callId);
    if (message?.t !== 'call') return;
    const { callId, containerId } = message.envelope;
    const served = this.#served.get(containerId);
    // A call is taken once, from the channel of its container, by the process that serves the container.
    if (channel !== callKeys.inbox(containerId) || !served || this.#open.has(callId)) return;
    const abort = new AbortController();
    const { promise: ended, resolve } = Promise.withResolvers<void>();
    this.#open.add(callId, { abort, ended, containerId, keyHash: message.keyHash });
    if (this.#routes.get(message.kind)?.command.isUse !== false) this.#o.onCall(containerId);
    this.#answer(message, served, abort.signal)
      .catch((error: unknown) => this.#o.log.error({ callId, err: error }, 'call not answered'))
      .finally(() => {
        this.#open.remove(callId);
        resolve();
      });
  }

  async #answer(message: Message, served: Served, aborted: AbortSignal): Promise<void> {
    let accepted: Accepted;
    try {
      accepted = this.#accept(message, served, aborted);
    } catch (error) {
      return this.#reply(message, this.#failure(message, error));
    }
    const { claims, concurrent } = accepted.route.command;
    if (claims && !concurrent) return served.turns.run(() => this.#claimed(accepted));
    served.reads += 1;
    try {
      if (claims) return await this.#claimed(accepted);
      const settled = await this.#read(accepted);
      if (!aborted.aborted || aborted.reason instanceof ApiError) await this.#reply(message, settled);
    } finally {
      served.reads -= 1;
    }
  }

  /** Carries out a call without effects. Never rejects. */
  async #read(accepted: Accepted): Promise<Settled> {
    try {
      await this.#awake(accepted);
    } catch (error) {
      return this.#failure(accepted.message, error);
    }
    return this.#handle(accepted);
  }

  /** Waits until the container runs, unless the call does not need that. @throws ApiError when it does not */
  async #awake({ route: { command }, served, call }: Accepted): Promise<void> {
    if (command.requires.includes('paused')) return;
    await this.#o.awake(served, call.signal).catch((error: unknown) => {
      throw call.signal.aborted ? interruption(call.signal) : error;
    });
  }

  /** Checks a call. @throws ApiError when it is refused: nothing was done */
  #accept(message: Message, served: Served, aborted: AbortSignal): Accepted {
    const { envelope, kind, input } = message;
    const { inputHash, ...given } = envelope;
    const route = this.#routes.get(kind);
    if (!route)
      throw new ApiError('unavailable', "The desktop's host does not support this call yet. Retry.");
    if (envelope.userId !== served.userId) throw new ApiError('not_found', 'There is no such desktop.');
    if (envelope.incarnation !== served.incarnation) throw goneIncarnation();
    if (hashInput(input) !== inputHash) throw damaged();
    const { claims, concurrent, timeoutMs } = route.command;
    const leftMs = Math.min(envelope.deadline - Date.now(), timeoutMs + CLOCK_SKEW_MS);
    if (leftMs <= 0) throw callTimedOut();
    const parsed = parsedInput(route, input);
    if (claims && !concurrent ? served.turns.isFull : served.reads >= MAX_CONCURRENT) throw busy();
    const signal = AbortSignal.any([aborted, AbortSignal.timeout(leftMs)]);
    const { callId, containerId } = envelope;
    const log = this.#o.log.child({ callId, containerId, kind });
    return { message, route, served, call: { ...given, input: parsed, signal, log } };
  }

  /** Carries out a call with effects, in turn: at most once for its key, or else its id. Never rejects. */
  async #claimed(accepted: Accepted): Promise<void> {
    const { message, route, served, call } = accepted;
    const { envelope, keyHash } = message;
    // The caller no longer waits, and the call has not begun.
    if (call.signal.aborted) return this.#reply(message, failed(interruption(call.signal)));
    try {
      await this.#awake(accepted);
      if (envelope.incarnation !== served.incarnation) throw goneIncarnation();
      const claim = {
        containerId: call.containerId,
        inputHash: envelope.inputHash,
        claimHash: claimHashOf(call.userId, message.kind, keyHash ?? call.callId),
      };
      const work = () => this.#handle(accepted);
      const { replayed, ...settled } = await this.#o.claims.once(claim, route.command, call.signal, work);
      await this.#reply(message, settled, replayed);
    } catch (error) {
      await this.#reply(message, this.#failure(message, error));
    }
  }

  /** Never rejects. */
  async #handle({ message, route, call }: Accepted): Promise<Settled> {
    const { command, handle } = route;
    const limitMs = Math.max(0, call.deadline - Date.now()) + STUCK_MS;
    const stuck = (): never => {
      throw new Error('the handler did not end by its deadline');
    };
    try {
      return done(command, await withTimeout(handle(call), limitMs, stuck));
    } catch (error) {
      const { aborted, reason } = call.signal;
      if (!aborted || (error instanceof ApiError && error !== reason)) return this.#failure(message, error);
      return command.claims ? UNKNOWN : failed(interruption(call.signal));
    }
  }

  #failure({ kind }: Message, error: unknown): Settled {
    if (error instanceof ApiError) return failed(error);
    this.#o.log.error({ kind, err: error }, 'call failed');
    return failed(
      new ApiError('internal', 'The call failed on the desktop’s host. Look at the desktop, then try again.'),
    );
  }

  #reply({ envelope, caller }: Message, settled: Settled, replayed = false): Promise<void> {
    return this.#o.replies.send({ callId: envelope.callId, caller, replayed, ...settled });
  }
}

/** Parses the input of a call. @throws ApiError `bad_request` */
function parsedInput({ command }: CallRoute, json: string): unknown {
  const { data, error } = jsonText(command.input).safeParse(json);
  if (!error) return data;
  const issues = error.issues.slice(0, 20).map(({ path, message }) => ({ path: path.join('.'), message }));
  throw new ApiError('bad_request', 'The request is not valid: see issues.', { issues });
}

/** The error that the caller of an aborted call receives. */
const interruption = ({ reason }: AbortSignal): ApiError =>
  reason instanceof ApiError ? reason : callTimedOut();

const damaged = () => new ApiError('bad_request', 'The request was damaged in transit. Send it again.');
const busy = () =>
  new ApiError(
    'busy',
    'Too many calls wait for this desktop. Wait for their answers, then send this again.',
    {
      retryAfterMs: 1000,
    },
  );
