import { ApiError } from '@warmwind/shared/contract/errors';
import { sessionKeys } from '@warmwind/shared/engine/keys';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import {
  packSessionMessage,
  readFromSessionHost,
  type ToSessionHost,
} from '@warmwind/shared/runtime/session/messages';
import { withTimeout } from '@warmwind/shared/runtime/timeout';
import type { Redis } from 'ioredis';
import { LIMITS } from '../limits.ts';
import { Holdings } from '../shares.ts';
import { Link, type LinkClient } from './link.ts';

/** The address of a session. Its id names its container, so that any node finds the host. */
export type SessionAddress = { containerId: string; callId: string };

export const sessionIdOf = ({ containerId, callId }: SessionAddress): string => `${containerId}.${callId}`;

/** @returns `undefined` for a malformed session id */
export function readSessionId(id: string): SessionAddress | undefined {
  const [containerId, callId, more] = id.split('.');
  return containerId && callId && more === undefined ? { containerId, callId } : undefined;
}

/**
 * The attachments of this node. They use dedicated connections to Redis, so that their bytes delay nothing
 * else.
 */
export class Sessions {
  /** By channel. */
  readonly #links = new Map<string, Link>();
  readonly #publisher: Redis;
  readonly #subscriber: Redis;
  readonly #held = new Holdings(LIMITS.sessionsPerUser, 'sessions');

  /**
   * @param publisher a dedicated fail-fast connection
   * @param subscriber a dedicated queueing connection; this class restores its subscriptions, not ioredis
   */
  constructor(publisher: Redis, subscriber: Redis, log: Logger) {
    this.#publisher = publisher;
    this.#subscriber = subscriber;
    subscriber.options.autoResubscribe = false;
    subscriber.on('smessageBuffer', (channel: Buffer, message: Buffer) => {
      const link = this.#links.get(channel.toString());
      const read = link && readFromSessionHost(message);
      if (read) link.receive(read.head, read.bytes);
    });
    // Frames that were missed meanwhile are sent again: both ends of the session detect the gap.
    subscriber.on('ready', () => {
      Promise.all([...this.#links.keys()].map((channel) => subscriber.ssubscribe(channel))).catch(
        (err: unknown) => log.warn({ err }, 'resubscribing failed'),
      );
    });
  }

  get size(): number {
    return this.#links.size;
  }

  /**
   * Creates an attachment that is subscribed to its host's messages.
   * @throws ApiError `quota_exceeded` or `unavailable`
   */
  async link(address: SessionAddress, client: LinkClient, onClose: () => void): Promise<Link> {
    if (this.#links.size >= LIMITS.sessionsOnNode) {
      throw new ApiError('unavailable', 'This node is at its limit of sessions: try again shortly.', {
        retryAfterMs: 1000,
      });
    }
    const release = this.#held.take(client.userId);
    const up = sessionKeys.up(address.containerId);
    const publish = async (head: ToSessionHost, bytes?: Uint8Array): Promise<number> => {
      const message = packSessionMessage({ ...head, session: address.callId, link: link.id }, bytes);
      return Number(await this.#publisher.spublish(up, Buffer.from(message.buffer)));
    };
    const link = new Link(sessionIdOf(address), client, publish, () => {
      release();
      this.#links.delete(down);
      this.#subscriber.sunsubscribe(down).catch(() => undefined);
      onClose();
    });
    const down = sessionKeys.down(link.id);
    this.#links.set(down, link);
    await withTimeout(this.#subscriber.ssubscribe(down), LIMITS.subscribeMs).catch((): never => {
      link.close();
      throw new ApiError('unavailable', 'The session cannot be attached now: try again in a moment.', {
        retryAfterMs: 1000,
      });
    });
    return link;
  }

  close(): void {
    for (const link of this.#links.values()) link.close();
  }
}
