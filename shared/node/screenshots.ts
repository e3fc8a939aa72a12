import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { ApiError } from '../errors.ts';
import { newId } from '../ids.ts';
import { SCREENSHOT_MS, ScreenshotReply, screenKeys, type ToHost } from '../screen.ts';
import type { Logger } from './log.ts';
import { connectPrompt } from './redis.ts';

/** A host that is being restarted does not listen: it is asked again after this, ms. */
const AGAIN_MS = 250;

export type Format = 'png' | 'jpeg';

/** Pictures of desktops, asked of their hosts; a bounded number at once. */
export class Screenshots {
  readonly #realtime: Redis;
  readonly #connect: () => Redis;
  readonly #atOnce: number;
  #running = 0;

  /** @param realtime a prompt connection; each answer is waited for on one of its own, opened at `url` */
  constructor(realtime: Redis, url: string, atOnce: number, log: Logger) {
    this.#realtime = realtime;
    this.#atOnce = atOnce;
    const options = { enableOfflineQueue: true };
    this.#connect = () => connectPrompt(url, 'screenshot', log, SCREENSHOT_MS + 1000, options);
  }

  /** The encoded picture of what is on the screen now. Throws what its caller may see. */
  async take(containerId: string, format: Format): Promise<Buffer> {
    if (this.#running >= this.#atOnce) {
      throw new ApiError('unavailable', 'Too many screenshots are being taken: ask again shortly.', {
        retryAfterMs: 1000,
      });
    }
    this.#running += 1;
    const connection = this.#connect();
    const done = new AbortController();
    try {
      const id = newId();
      const key = screenKeys.reply(containerId, id);
      const asking = this.#ask(containerId, { t: 'screenshot', id, format }, done.signal);
      const answer = connection.blpopBuffer(key, SCREENSHOT_MS / 1000);
      // The asking ends by itself only when it fails.
      const [, reply] = (await Promise.race([answer, asking]).catch(unavailable)) ?? [];
      if (!reply) {
        throw new ApiError('upstream_timeout', "The desktop's host did not answer in time: ask again.");
      }
      return read(reply);
    } finally {
      done.abort();
      connection.disconnect();
      this.#running -= 1;
    }
  }

  /** Asks until somebody listens: a host that is being restarted will. */
  async #ask(containerId: string, message: ToHost, signal: AbortSignal): Promise<never> {
    const channel = screenKeys.up(containerId);
    while ((await this.#realtime.spublish(channel, JSON.stringify(message))) === 0) {
      await sleep(AGAIN_MS, undefined, { signal });
    }
    return new Promise<never>(() => undefined);
  }
}

/** A reply: one line of JSON, and the picture after it. */
function read(reply: Buffer): Buffer {
  const end = reply.indexOf('\n');
  const head = ScreenshotReply.safeParse(parse(reply.toString('utf8', 0, Math.max(end, 0))));
  if (!head.success) return unavailable();
  if (!head.data.ok) {
    throw new ApiError('unavailable', `No picture could be taken (${head.data.message}): ask again.`, {
      retryAfterMs: 1000,
    });
  }
  return reply.subarray(end + 1);
}

const unavailable = (): never => {
  throw new ApiError('unavailable', 'No picture can be had now: ask again in a moment.', {
    retryAfterMs: 1000,
  });
};

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
