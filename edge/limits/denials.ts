import type { Decision } from './decision.ts';

/** A denial is asked for again this often, ms: the limiter may have lost its log, or an operator has removed it. */
const ASK_AGAIN_MS = 1000;
/** Denials that are remembered. */
const MAX_DENIALS = 10_000;

type Denial = {
  decision: Decision;
  /** By the clock of this isolate, ms: when the limiter answered, until when it can't admit, when it is asked again. */
  answeredAt: number;
  until: number;
  askAgainAt: number;
};

/**
 * The latest denials, within this isolate, so that a client which goes on asking is refused without a trip. The log of a
 * full tier only grows until its oldest request that counts leaves the window: before that time, which the limiter has
 * named, it would deny each further request for the same scopes. `key` stands for a subject and for scopes.
 */
export class Denials {
  /** Those of the latest decisions are last. */
  readonly #denials = new Map<string, Denial>();

  /**
   * Takes note of what the limiter decided.
   * @param askedAt when it was asked, ms: it decided later, so that this denial ends early rather than late
   */
  note(key: string, decision: Decision, askedAt: number, now = Date.now()): void {
    this.#denials.delete(key);
    if (decision.allowed) return;
    const freeUs = Math.max(...decision.tiers.map(({ remaining, resetUs }) => (remaining > 0 ? 0 : resetUs)));
    const until = askedAt + Math.floor((freeUs - decision.nowUs) / 1000);
    if (!(until > now)) return;
    this.#denials.set(key, { decision, answeredAt: now, until, askAgainAt: now + ASK_AGAIN_MS });
    const [oldest] = this.#denials.keys();
    if (this.#denials.size > MAX_DENIALS && oldest !== undefined) this.#denials.delete(oldest);
  }

  /**
   * The denial that the limiter would repeat now; its other tiers are as they were when it was asked.
   * @returns undefined when only the limiter can tell, and for one request of those that come when it is to be asked again
   */
  find(key: string, now = Date.now()): Decision | undefined {
    const denial = this.#denials.get(key);
    if (!denial || now >= denial.until) return undefined;
    if (now >= denial.askAgainAt) {
      denial.askAgainAt = now + ASK_AGAIN_MS;
      return undefined;
    }
    const { decision, answeredAt } = denial;
    return { ...decision, first: false, nowUs: decision.nowUs + Math.max(0, now - answeredAt) * 1000 };
  }
}
