import { MAX_INLINE_BYTES, type ReplyHead } from '@warmwind/shared/contract/call-wire';
import { callKeys } from '@warmwind/shared/engine/keys';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import type { Redis } from 'ioredis';
import type { Settled } from './call.ts';

/** How long a large answer is stored, ms. */
const STORED_MS = 15_000;

type Reply = Settled & { callId: string; caller: string; replayed: boolean };

/** Sends the replies to calls: small ones through the caller's channel, large ones for the caller to fetch. */
export class Replies {
  readonly #redis: Redis;
  readonly #log: Logger;

  /** @param redis the realtime Redis, a fail-fast connection for replies alone: an answer may be large */
  constructor(redis: Redis, log: Logger) {
    this.#redis = redis;
    this.#log = log;
  }

  /** Sends a reply. Never rejects: the caller of a lost reply receives an unknown outcome. */
  async send({ callId, caller, outcome, bytes, replayed }: Reply): Promise<void> {
    const stored = bytes.length > MAX_INLINE_BYTES;
    const head: ReplyHead = { callId, outcome, replayed, bytes: bytes.length, stored };
    const line = Buffer.from(`${JSON.stringify(head)}\n`);
    try {
      if (stored) await this.#redis.set(callKeys.answer(caller, callId), bytes, 'PX', STORED_MS);
      const message = stored ? line : Buffer.concat([line, bytes]);
      await this.#redis.spublish(callKeys.replies(caller), message);
    } catch (error) {
      this.#log.warn({ callId, err: error }, 'reply not sent');
    }
  }
}
