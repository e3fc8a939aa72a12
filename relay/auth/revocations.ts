import { Revoked, type TicketClaims } from '@warmwind/shared/contract/tickets';
import { keys, REVOKED_CHANNEL } from '@warmwind/shared/engine/keys';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import type { Redis } from 'ioredis';
import type { Connections } from '../connections.ts';
import { LIMITS } from '../limits.ts';

/**
 * Refuses tickets that were revoked before they expired, and closes the connections that they hold open. A
 * revocation takes effect when it is published; a periodic check covers a missed message.
 */
export class Revocations {
  readonly #queue: Redis;
  readonly #connections: Connections;
  readonly #timer: NodeJS.Timeout;

  /** @param subscriber a dedicated queueing connection to the queue Redis */
  constructor(queue: Redis, subscriber: Redis, connections: Connections, log: Logger) {
    this.#queue = queue;
    this.#connections = connections;
    subscriber.subscribe(REVOKED_CHANNEL).catch(() => undefined);
    subscriber.on('message', (_channel: string, message: string) => {
      const { success, data } = Revoked.safeParse(parse(message));
      if (success) connections.closeTickets(data.userId, isRevokedBy(data));
      else log.warn('a revocation could not be read');
    });
    const check = () => this.#checkAll().catch(() => undefined);
    subscriber.on('ready', check);
    this.#timer = setInterval(check, LIMITS.revocationCheckMs).unref();
  }

  /**
   * Checks whether this ticket was revoked. While Redis does not answer, tickets pass: every lookup that a
   * ticket allows needs Redis too, and the periodic check closes revoked connections later.
   */
  async includes(ticket: TicketClaims): Promise<boolean> {
    const trip = this.#queue.pipeline();
    trip.zscore(keys.revoked(ticket.sub), ticket.jti).get(keys.revokedBefore(ticket.sub));
    const [one, all] = (await trip.exec().catch(() => null)) ?? [];
    if (one && !one[0] && one[1] !== null) return true;
    return Boolean(all && !all[0] && issuedUntil(ticket, Number(all[1])));
  }

  close(): void {
    clearInterval(this.#timer);
  }

  async #checkAll(): Promise<void> {
    if (this.#queue.status !== 'ready') return;
    const users = this.#connections.users();
    for (let i = 0; i < users.length; i += LIMITS.revocationBatch) {
      const batch = users.slice(i, i + LIMITS.revocationBatch);
      const trip = this.#queue.pipeline();
      for (const user of batch) {
        trip.zrangebyscore(keys.revoked(user), Date.now(), '+inf').get(keys.revokedBefore(user));
      }
      const answers = (await trip.exec()) ?? [];
      for (const [n, user] of batch.entries()) {
        const ids = answers[2 * n]?.[1];
        const before = Number(answers[2 * n + 1]?.[1] ?? 0);
        const known = Array.isArray(ids) ? new Set<unknown>(ids) : undefined;
        this.#connections.closeTickets(
          user,
          (ticket) => known?.has(ticket.jti) || issuedUntil(ticket, before),
        );
      }
    }
  }
}

/** @param before ms since 1970; 0: no revocation */
const issuedUntil = ({ iat }: TicketClaims, before: number): boolean =>
  before > 0 && Math.round(iat * 1000) <= before;

const isRevokedBy =
  (revoked: Revoked) =>
  (ticket: TicketClaims): boolean =>
    'ticketId' in revoked ? ticket.jti === revoked.ticketId : issuedUntil(ticket, revoked.before);

function parse(message: string): unknown {
  try {
    return JSON.parse(message);
  } catch {
    return undefined;
  }
}
