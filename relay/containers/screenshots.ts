import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError } from '@warmwind/shared/errors';
import { newId } from '@warmwind/shared/ids';
import { SCREENSHOT_MS, ScreenshotReply, screenKeys, type ToHost } from '@warmwind/shared/screen';
import type { Redis } from 'ioredis';
import { LIMITS } from '../limits.ts';

export type Format = 'png' | 'jpeg';

/** Pictures of desktops, asked of their hosts; a bounded number at once. */
export class Screenshots {
  readonly #realtime: Redis;
  readonly #connect: () => Redis;
  #running = 0;

  /** @param connect opens a connection for one answer to be waited for; its commands outlast `SCREENSHOT_MS` */
  constructor(realtime: Redis, connect: () => Redis) {
    this.#realtime = realtime;
    this.#connect = connect;
  }

  /** The encoded picture of what is on the screen now. Throws what its caller may see. */
  async take(containerId: string, format: Format): Promise<Buffer> {
    if (this.#running >= LIMITS.screenshots) {
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
      await sleep(LIMITS.screenshotAgainMs, undefined, { signal });
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
