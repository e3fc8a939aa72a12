import { ApiError } from '@warmwind/shared/contract/errors';
import type { Ack } from '@warmwind/shared/contract/tickets';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import type { z } from 'zod';
import { LIMITS } from '../limits.ts';
import type { Metrics } from '../metrics.ts';
import { Bucket } from './bucket.ts';
import type { RelaySocket } from './socket.ts';

type Reply = (ack: Ack) => void;
/** Answers one event through `reply`, once, and may continue to work after it. */
type Handler<T> = (argument: T, reply: Reply) => Promise<void>;

type Registered = { handle: (args: unknown[], reply: Reply) => Promise<void>; bucket: Bucket };

/** The inbound events of one socket: bounds, validates and answers each of them. */
export class Inbound {
  readonly #socket: RelaySocket;
  readonly #metrics: Metrics;
  readonly #log: Logger;
  readonly #bucket = new Bucket(LIMITS.eventsPerSecond, LIMITS.eventsBurst);
  readonly #handlers = new Map<unknown, Registered>();

  constructor(socket: RelaySocket, metrics: Metrics, log: Logger) {
    this.#socket = socket;
    this.#metrics = metrics;
    this.#log = log;
    // A middleware receives every event, and without `next` Socket.IO calls nothing after it.
    socket.use(([name, ...args]) => {
      void this.#receive(name, args);
    });
    socket.on('error', (err) => log.debug({ err }, 'socket error'));
  }

  /**
   * Handles the event `name`, whose one argument must match `schema`.
   * @param bucket a separate rate for frequent events
   */
  on<T>(name: string, schema: z.ZodType<T>, handler: Handler<T>, bucket = this.#bucket): this {
    const handle = async ([argument]: unknown[], reply: Reply) => {
      const parsed = schema.safeParse(argument);
      if (!parsed.success) throw badArgument(parsed.error);
      await handler(parsed.data, reply);
    };
    this.#handlers.set(name, { handle, bucket });
    return this;
  }

  /**
   * Handles a frequent event that has no answer, such as an acknowledgement. An event that changes state
   * passes without a rate limit, because the frames that it acknowledges are bounded. Any other is limited by
   * `bucket`.
   * @param handler never throws; returns whether the event changed state. If not, it is called again within
   * the limit
   */
  onOften<T>(name: string, schema: z.ZodType<T>, handler: (argument: T) => boolean, bucket: Bucket): this {
    const end = this.#socket.data.wire.takeEarly(name, (argument) => {
      const parsed = schema.safeParse(argument);
      return parsed.success && handler(parsed.data);
    });
    this.#socket.on('disconnect', end);
    return this.on(name, schema, async (argument) => void handler(argument), bucket);
  }

  async #receive(name: unknown, args: unknown[]): Promise<void> {
    const reply = once(args.at(-1));
    const registered = this.#handlers.get(name);
    try {
      if (!(registered?.bucket ?? this.#bucket).take()) {
        this.#metrics.dropped.inc({ reason: 'rate_limited' });
        throw new ApiError('rate_limited', 'Too many events: send fewer a second.');
      }
      if (!registered) {
        this.#metrics.dropped.inc({ reason: 'unknown' });
        throw new ApiError('bad_request', 'There is no such event: check its name.');
      }
      await registered.handle(args, reply);
    } catch (error) {
      if (error instanceof ApiError) {
        reply({ ok: false, code: error.code, message: error.message });
        return;
      }
      this.#metrics.errors.inc();
      this.#log.error({ socket: this.#socket.id, err: error }, 'a handler failed');
      reply({ ok: false, code: 'internal', message: 'Something failed here: try again.' });
    }
  }
}

/**
 * Names the part of an argument that must be corrected.
 * @param path the position of the checked value in the argument
 */
export function badArgument({ issues: [issue] }: z.ZodError, path: PropertyKey[] = []): ApiError {
  const where = [...path, ...(issue?.path ?? [])].join('.') || 'argument';
  return new ApiError('bad_request', `Correct ${where}: ${issue?.message ?? 'invalid'}.`);
}

/** Wraps the client's acknowledgement callback, if there is one, so that only the first answer is sent. */
function once(callback: unknown): Reply {
  let answered = false;
  return (ack) => {
    if (!answered && typeof callback === 'function') callback(ack);
    answered = true;
  };
}
