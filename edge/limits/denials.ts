import type { Decision } from './decision.ts';

/**
 * How often a denial is confirmed with the limiter, ms: the limiter may have lost its log, or an operator has
 * removed it.
 */
const CONFIRM_EVERY_MS = 1000;
/** The most denials that are cached. */
const MAX_DENIALS = 10_000;

type Denial = {
  decision: Decision;
  /**
   * By the clock of this isolate, ms: when the limiter answered, until when it can't admit, when to confirm.
   */
  answeredAt: number;
  until: number;
  confirmAt: number;
};

/**
 * Caches the latest denials in this isolate, so that a client that keeps sending requests is refused without
 * a trip. The log of a full tier only grows until its oldest counted request leaves the window. Before that
 * time, which the limiter reports, it would deny each further request for the same scopes. `key` identifies a
 * subject and its scopes.
 */
export class Denials {
  /** The denials of the latest decisions are last. */
  readonly #denials = new Map<string, Denial>();

  /**
   * Records a decision of the limiter.
   * @param askedAt when the limiter was asked, ms: it decided later, so this denial ends early rather than
   *   late
   */
  note(key: string, decision: Decision, askedAt: number, now = Date.now()): void {
    this.#denials.delete(key);
    if (decision.allowed) return;
    const freeUs = Math.max(...decision.tiers.map(({ remaining, resetUs }) => (remaining > 0 ? 0 : resetUs)));
    const until = askedAt + Math.floor((freeUs - decision.nowUs) / 1000);
    if (!(until > now)) return;
    this.#denials.set(key, { decision, answeredAt: now, until, confirmAt: now + CONFIRM_EVERY_MS });
    const [oldest] = this.#denials.keys();
    if (this.#denials.size > MAX_DENIALS && oldest !== undefined) this.#denials.delete(oldest);
  }

  /**
   * Finds the denial that the limiter would repeat now; the states of its other tiers are those of the last
   * trip.
   * @returns `undefined` when only the limiter can decide, and for one request whenever the denial is due to
   *   be confirmed
   */
  find(key: string, now = Date.now()): Decision | undefined {
    const denial = this.#denials.get(key);
    if (!denial || now >= denial.until) return undefined;
    if (now >= denial.confirmAt) {
      denial.confirmAt = now + CONFIRM_EVERY_MS;
      return undefined;
    }
    const { decision, answeredAt } = denial;
    return { ...decision, first: false, nowUs: decision.nowUs + Math.max(0, now - answeredAt) * 1000 };
  }
}
