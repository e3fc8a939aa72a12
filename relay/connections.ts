import type { TicketClaims } from '@warmwind/shared/realtime';
import { LIMITS } from './limits.ts';

/** The longest that a timer can wait, ms. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** A socket or a stream that a ticket holds open. `close` lets its client come back and resume. */
export type Connection = { ticket: TicketClaims; close: () => void };

/** All that tickets hold open on this node: counted by user, closed when the ticket expires. */
export class Connections {
  readonly #byUser = new Map<string, Set<Connection>>();

  /** Does this user hold all that one may hold? */
  full(userId: string): boolean {
    return (this.#byUser.get(userId)?.size ?? 0) >= LIMITS.connectionsPerUser;
  }

  /** → to be called once when it has ended. */
  add(connection: Connection): () => void {
    const { sub, exp } = connection.ticket;
    const held = this.#byUser.get(sub) ?? new Set();
    this.#byUser.set(sub, held.add(connection));
    const left = Math.min(Math.max(exp * 1000 - Date.now(), 0), LONGEST_TIMER_MS);
    const expiry = setTimeout(connection.close, left);
    return () => {
      clearTimeout(expiry);
      held.delete(connection);
      if (held.size === 0 && this.#byUser.get(sub) === held) this.#byUser.delete(sub);
    };
  }

  /** Users that hold anything open here. */
  users(): string[] {
    return [...this.#byUser.keys()];
  }

  /** Closes what those of one user's tickets hold open that were revoked. */
  closeTickets(userId: string, isRevoked: (ticket: TicketClaims) => boolean): void {
    for (const { ticket, close } of this.#byUser.get(userId) ?? []) {
      if (isRevoked(ticket)) close();
    }
  }

  /** All of them now, whoever's they are. */
  all(): Connection[] {
    return [...this.#byUser.values()].flatMap((held) => [...held]);
  }
}
