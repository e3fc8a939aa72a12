import { parseJson } from '@warmwind/shared/runtime/json';
import { truncateText } from '@warmwind/shared/runtime/text';
import { z } from 'zod';

/** An argument of a Redis command; bytes only as arguments of scripts (see `scripts.ts`). */
type Argument = string | number;
export type Command = Argument[];

/** One command's answer in a batch. */
const Reply = z.object({ result: z.unknown().optional(), error: z.string().optional() });
export type Reply = z.infer<typeof Reply>;
const Replies = z.union([z.array(Reply), Reply]);

export type RestOptions = { url: string; token: string; timeoutMs: number };

/** The queue could not be reached, or did not answer in time: the command may or may not have run. */
export class QueueUnavailableError extends Error {
  override name = 'QueueUnavailableError';
}

/** Redis refused a command. */
export class RedisError extends Error {
  override name = 'RedisError';
}

/**
 * Speaks the Upstash REST protocol: each call is one POST, authenticated, tried once, bounded in time (its
 * body included). Its errors never contain the token or the command.
 */
export class RestTransport {
  readonly #options: RestOptions;

  constructor(options: RestOptions) {
    this.#options = options;
  }

  /** Sends one command. */
  async command(command: Command): Promise<unknown> {
    const { result, error } = await this.#post(Reply, '', command);
    if (error !== undefined) throw new RedisError(truncateText(error, 200));
    return result;
  }

  /** Sends several commands in one trip: `/pipeline` one after another, `/multi-exec` as one transaction. */
  async batch(path: '/pipeline' | '/multi-exec', commands: Command[]): Promise<Reply[]> {
    const replies = await this.#post(Replies, path, commands);
    if (Array.isArray(replies)) return replies;
    throw new RedisError(truncateText(replies.error ?? 'the batch was refused', 200));
  }

  async #post<Schema extends z.ZodType>(
    schema: Schema,
    path: string,
    body: unknown,
  ): Promise<z.output<Schema>> {
    const { url, token, timeoutMs } = this.#options;
    let status: number;
    let text: string;
    try {
      const response = await fetch(url + path, {
        method: 'POST',
        headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(timeoutMs),
      });
      status = response.status;
      text = await response.text();
    } catch (error) {
      const timedOut = error instanceof Error && error.name === 'TimeoutError';
      throw new QueueUnavailableError(
        timedOut ? `the queue did not answer within ${timeoutMs} ms` : 'the queue can not be reached',
      );
    }
    if (status === 401 || status === 403) throw new QueueUnavailableError('the queue refused our token');
    if (status >= 500) throw new QueueUnavailableError(`the queue answered with HTTP ${status}`);
    try {
      return parseJson(schema, text);
    } catch {
      throw new QueueUnavailableError(`the queue answered HTTP ${status} with something else than a reply`);
    }
  }
}
