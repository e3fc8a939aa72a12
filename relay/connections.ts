import type { TicketClaims } from '@warmwind/shared/contract/tickets';
import { subjectOf } from './auth/ticket.ts';
import { LIMITS } from './limits.ts';

/** The longest that a timer can wait, ms. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** A socket or a stream that a ticket holds open. `close` lets its client reconnect and resume. */
export type Connection = { ticket: TicketClaims; close: () => void };

/**
 * The connections that tickets hold open on this node, counted by user and share link. They close with the
 * ticket.
 */
export class Connections {
  readonly #byUser = new Map<string, Set<Connection>>();
  /** Connections of a share link count for the link, not for its user. */
  readonly #bySubject = new Map<string, number>();

  /** Checks whether the ticket's user or share link is at its limit of connections. */
  isFull(ticket: TicketClaims): boolean {
    const own = this.#bySubject.get(subjectOf(ticket)) ?? 0;
    const all = this.#byUser.get(ticket.sub)?.size ?? 0;
    return own >= LIMITS.connectionsPerUser || all >= LIMITS.connectionsWithLinks;
  }

  /** @returns a function to call once when the connection has ended */
  add(connection: Connection): () => void {
    const { sub, exp } = connection.ticket;
    const held = this.#byUser.get(sub) ?? new Set();
    this.#byUser.set(sub, held.add(connection));
    const subject = subjectOf(connection.ticket);
    this.#bySubject.set(subject, (this.#bySubject.get(subject) ?? 0) + 1);
    const left = Math.min(Math.max(exp * 1000 - Date.now(), 0), LONGEST_TIMER_MS);
    const expiry = setTimeout(connection.close, left);
    return () => {
      clearTimeout(expiry);
      if (!held.delete(connection)) return;
      const others = (this.#bySubject.get(subject) ?? 1) - 1;
      if (others > 0) this.#bySubject.set(subject, others);
      else this.#bySubject.delete(subject);
      if (held.size === 0 && this.#byUser.get(sub) === held) this.#byUser.delete(sub);
    };
  }

  /** Users with at least one connection here. */
  users(): string[] {
    return [...this.#byUser.keys()];
  }

  /** Closes the connections of one user's revoked tickets. */
  closeTickets(userId: string, isRevoked: (ticket: TicketClaims) => boolean): void {
    for (const { ticket, close } of this.#byUser.get(userId) ?? []) {
      if (isRevoked(ticket)) close();
    }
  }

  /** The present connections of all users. */
  all(): Connection[] {
    return [...this.#byUser.values()].flatMap((held) => [...held]);
  }
}
