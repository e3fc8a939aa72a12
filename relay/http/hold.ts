import { ApiError } from '@warmwind/shared/contract/errors';
import type { Context } from 'hono';
import { subjectOf } from '../auth/ticket.ts';
import type { Connections } from '../connections.ts';
import { LIMITS } from '../limits.ts';
import type { Metrics } from '../metrics.ts';
import { Holdings } from '../shares.ts';
import type { HttpEnv } from './http.ts';

/** Counts the answers that stay open: bounded on the node, and together with the sockets of their user. */
export class OpenAnswers {
  readonly #connections: Connections;
  readonly #metrics: Metrics;
  readonly #held = new Holdings(LIMITS.answersPerSubject, 'open requests');
  #open = 0;

  constructor(connections: Connections, metrics: Metrics) {
    this.#connections = connections;
    this.#metrics = metrics;
  }

  /**
   * Counts a request's answer until it has ended.
   * @param close is called when the ticket expires or the node drains
   * @throws ApiError `unavailable` or `quota_exceeded` when too many are open
   */
  hold(c: Context<HttpEnv>, close: () => void): void {
    const { ticket } = c.var;
    if (this.#open >= LIMITS.openAnswers) {
      throw new ApiError('unavailable', 'This node serves too many requests: ask again shortly.', {
        retryAfterMs: 1000,
      });
    }
    if (this.#connections.isFull(ticket)) {
      const limit = LIMITS.connectionsPerUser;
      throw new ApiError('quota_exceeded', `At most ${limit} connections a user or share link: close some.`, {
        limit,
        used: limit,
      });
    }
    const release = this.#held.take(subjectOf(ticket));
    const left = this.#connections.add({ ticket, close });
    this.#open += 1;
    this.#metrics.streams.inc();
    c.env.outgoing.once('close', () => {
      left();
      release();
      this.#open -= 1;
      this.#metrics.streams.dec();
    });
  }
}
