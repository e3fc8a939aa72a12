import { ApiError } from '@warmwind/shared/contract/errors';
import { unavailable } from './errors.ts';

/**
 * Limits on the bytes of bodies in memory until their requests are answered: in this isolate, and of one
 * user.
 */
const MOST_BYTES = 48 * 2 ** 20;
const MOST_OF_USER = 12 * 2 ** 20;

let total = 0;
const byUser = new Map<string, number>();

/** The share of the isolate's memory for bodies that one request holds. */
export class HeldBody {
  readonly #user: string;
  #bytes = 0;

  constructor(user: string) {
    this.#user = user;
  }

  /**
   * Holds `bytes` in total.
   * @throws ApiError `rate_limited` when the user's other bodies leave no room, `unavailable` when the bodies
   *   of all users do
   */
  grow(bytes: number): void {
    const more = bytes - this.#bytes;
    if (more <= 0) return;
    const ofUser = byUser.get(this.#user) ?? 0;
    if (ofUser + more > MOST_OF_USER) {
      const message = `More than ${MOST_OF_USER / 2 ** 20} MB of your requests are on their way: send fewer at once.`;
      throw new ApiError('rate_limited', message, { retryAfterMs: 1000 });
    }
    if (total + more > MOST_BYTES) throw unavailable('Too many large requests are on their way: retry.');
    this.#bytes = bytes;
    total += more;
    byUser.set(this.#user, ofUser + more);
  }

  release(): void {
    const left = (byUser.get(this.#user) ?? 0) - this.#bytes;
    total -= this.#bytes;
    this.#bytes = 0;
    if (left > 0) byUser.set(this.#user, left);
    else byUser.delete(this.#user);
  }
}
