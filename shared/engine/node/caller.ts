import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { callTimedOut, outcomeUnknown } from '../../contract/call-refusal.ts';
import {
  MAX_CALL_INPUT,
  MAX_INLINE_BYTES,
  MAX_REPLY_HEAD_BYTES,
  type ReplyHead,
  readReplyHead,
  type ToCallHost,
} from '../../contract/call-wire.ts';
import type { CallCommand } from '../../contract/command.ts';
import { ApiError } from '../../contract/errors.ts';
import { newId } from '../../contract/ids.ts';
import { FairGate } from '../../runtime/node/fair-gate.ts';
import type { Logger } from '../../runtime/node/log.ts';
import { withTimeout } from '../../runtime/timeout.ts';
import { callKeys } from '../keys.ts';
import { hashInput } from './input-hash.ts';

/** How long to wait before a call is published again, ms: a host that restarts does not listen. */
const AGAIN_MS = 100;
/** How long the subscription to replies may take, ms. */
const SUBSCRIBE_MS = 3000;
/** Bounds of the answers that are fetched at once, and so of the bytes that are held. */
const FETCHES = { atOnce: 8, perSubject: 4, waiting: 1000 };

export type CallRequest = {
  command: CallCommand;
  userId: string;
  containerId: string;
  incarnation: number;
  /** See `RequestEnvelope`. */
  credential: string;
  /** Valid by the command's schema. */
  input: object;
  /** SHA-256 of the caller's `Idempotency-Key`. */
  keyHash?: string | undefined;
  /** Aborts the call: its host stops it. */
  signal?: AbortSignal | undefined;
};

export type CallAnswer = {
  type: string;
  headers: Record<string, string>;
  bytes: Buffer;
  /** The caller's version is still current: there are no bytes. */
  notModified?: true | undefined;
  /** It was carried out before, for a request with the same `Idempotency-Key`. */
  replayed: boolean;
};

type Reply = { head: ReplyHead; inline: Buffer };

export type CallerOptions = {
  /** Fail-fast connections to the realtime Redis: one for messages, one for the bytes of answers. */
  redis: Redis;
  bulk: Redis;
  /** A queueing connection, for replies only. */
  subscriber: Redis;
  log: Logger;
};

/** Sends calls to the hosts of containers. All replies to a process arrive through one subscription. */
export class Caller {
  readonly #o: CallerOptions;
  readonly #id = newId();
  readonly #pending = new Map<string, (reply: Reply) => void>();
  readonly #fetches = new FairGate(FETCHES);
  #subscribed: Promise<unknown> | undefined;

  constructor(options: CallerOptions) {
    this.#o = options;
    options.subscriber.on('smessageBuffer', (_channel: Buffer, message: Buffer) => this.#receive(message));
  }

  /** Calls that wait for their replies. */
  get waiting(): number {
    return this.#pending.size;
  }

  /**
   * Sends a call and waits for its answer.
   * @throws ApiError the refusal of the host; `outcome_unknown` when a call with effects was not answered,
   *   `upstream_timeout` when it had none, `unavailable` when it was not sent
   * @throws the reason of the signal
   */
  async call(request: CallRequest): Promise<CallAnswer> {
    const { command, signal } = request;
    signal?.throwIfAborted();
    await this.#listen();
    const callId = newId();
    const deadline = Date.now() + command.timeoutMs;
    const { promise: replied, resolve } = Promise.withResolvers<Reply>();
    this.#pending.set(callId, resolve);
    const stop = stopSignal(command.timeoutMs, signal);
    try {
      const isReceived = await this.#send(request, callId, deadline, stop.signal);
      const reply = isReceived ? await Promise.race([replied, stop.stopped]) : undefined;
      if (reply) return await this.#read(request, reply);
      if (!signal?.aborted) throw isReceived && command.claims ? outcomeUnknown() : callTimedOut();
      this.#abort(request.containerId, callId);
      throw signal.reason;
    } finally {
      stop.clear();
      this.#pending.delete(callId);
    }
  }

  async #listen(): Promise<void> {
    const { subscriber } = this.#o;
    this.#subscribed ??= subscriber.ssubscribe(callKeys.replies(this.#id)).catch((error: unknown) => {
      this.#subscribed = undefined;
      throw error;
    });
    await withTimeout(this.#subscribed, SUBSCRIBE_MS).catch(notSent);
    if (subscriber.status !== 'ready') notSent();
  }

  /**
   * Publishes a call until a host listens.
   * @returns whether a host received it before `stop`
   */
  async #send(request: CallRequest, callId: string, deadline: number, stop: AbortSignal): Promise<boolean> {
    const { command, userId, containerId, incarnation, credential, keyHash } = request;
    const { redis } = this.#o;
    const input = JSON.stringify(request.input);
    if (input.length > MAX_CALL_INPUT) throw new ApiError('payload_too_large', 'The input is too large.');
    const inputHash = hashInput(input);
    const message = JSON.stringify({
      t: 'call',
      envelope: { callId, userId, containerId, incarnation, credential, deadline, inputHash },
      kind: command.kind,
      caller: this.#id,
      ...(keyHash ? { keyHash } : {}),
      input,
    } satisfies ToCallHost);
    while (!stop.aborted) {
      if (redis.status !== 'ready') notSent();
      const lost = (): never => {
        throw command.claims ? outcomeUnknown() : unavailable();
      };
      if (Number(await redis.spublish(callKeys.inbox(containerId), message).catch(lost)) > 0) return true;
      await sleep(AGAIN_MS, undefined, { signal: stop }).catch(() => undefined);
    }
    return false;
  }

  /** Never rejects: a host that does not receive it ends the call at its deadline. */
  #abort(containerId: string, callId: string): void {
    const message: ToCallHost = { t: 'abort', callId };
    this.#o.redis.spublish(callKeys.inbox(containerId), JSON.stringify(message)).catch(() => undefined);
  }

  #receive(message: Buffer): void {
    const end = message.indexOf('\n');
    if (end < 0 || end > MAX_REPLY_HEAD_BYTES || message.length - end > MAX_INLINE_BYTES + 1) return;
    const head = readReplyHead(message.toString('utf8', 0, end));
    if (head) this.#pending.get(head.callId)?.({ head, inline: message.subarray(end + 1) });
  }

  async #read({ command, userId }: CallRequest, { head, inline }: Reply): Promise<CallAnswer> {
    const { outcome, replayed } = head;
    if (outcome.outcome === 'outcome_unknown') throw outcomeUnknown();
    if (outcome.outcome === 'failed') {
      const { code, message, ...details } = outcome.failure;
      throw new ApiError(code, message, details);
    }
    const { output, maxResultBytes } = command;
    const bytes = head.stored
      ? head.bytes <= maxResultBytes && (await this.#fetches.run(userId, () => this.#fetch(head.callId)))
      : inline;
    const isOurs = 'json' in output ? outcome.type === JSON_TYPE : output.media.includes(outcome.type);
    if (!bytes || bytes.length !== head.bytes || bytes.length > maxResultBytes || !isOurs) {
      this.#o.log.warn(
        { kind: command.kind, bytes: head.bytes, type: outcome.type },
        'invalid call answer discarded',
      );
      throw command.claims ? outcomeUnknown() : unavailable();
    }
    const { type, notModified } = outcome;
    return { type, headers: headersOf(command, outcome.headers), bytes, replayed, notModified };
  }

  #fetch(callId: string): Promise<Buffer | null> {
    return this.#o.bulk.getdelBuffer(callKeys.answer(this.#id, callId)).catch(() => null);
  }
}

const JSON_TYPE = 'application/json';

/** The headers that the command defines. */
function headersOf({ output }: CallCommand, given: Record<string, string>): Record<string, string> {
  if ('json' in output) return {};
  return Object.fromEntries(Object.entries(given).filter(([name]) => Object.hasOwn(output.headers, name)));
}

/** Aborts after `timeoutMs` or by `signal`, whichever is first; `stopped` resolves then. */
function stopSignal(timeoutMs: number, signal: AbortSignal | undefined) {
  const controller = new AbortController();
  const { promise: stopped, resolve } = Promise.withResolvers<undefined>();
  const stop = () => {
    controller.abort();
    resolve(undefined);
  };
  const timer = setTimeout(stop, timeoutMs);
  signal?.addEventListener('abort', stop, { once: true });
  const clear = () => {
    clearTimeout(timer);
    signal?.removeEventListener('abort', stop);
  };
  return { signal: controller.signal, stopped, clear };
}

const unavailable = (): ApiError =>
  new ApiError('unavailable', "The desktop's host can't be reached now: ask again in a moment.", {
    retryAfterMs: 1000,
  });
const notSent = (): never => {
  throw unavailable();
};
