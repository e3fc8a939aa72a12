import { ApiError } from '@warmwind/shared/contract/errors';
import { Bucket } from './sockets/bucket.ts';

/** Subjects whose rate is remembered; of more, the ones that asked longest ago are forgotten. */
const MOST_SUBJECTS = 10_000;

/** A rate for each subject (a user, or a share link), however many sockets and requests it asks by. */
export class Rates {
  readonly #bounds: { perSecond: number; burst: number };
  readonly #buckets = new Map<string, Bucket>();

  constructor(bounds: { perSecond: number; burst: number }) {
    this.#bounds = bounds;
  }

  /** @throws ApiError `rate_limited` */
  take(subject: string): void {
    const { perSecond, burst } = this.#bounds;
    const bucket = this.#buckets.get(subject) ?? new Bucket(perSecond, burst);
    this.#buckets.delete(subject);
    this.#buckets.set(subject, bucket);
    if (this.#buckets.size > MOST_SUBJECTS) {
      for (const oldest of this.#buckets.keys()) {
        this.#buckets.delete(oldest);
        break;
      }
    }
    if (bucket.take()) return;
    throw new ApiError('rate_limited', `More than ${perSecond} requests a second: ask again in a second.`, {
      retryAfterMs: 1000,
    });
  }
}

/** A number of things that each subject may hold. */
export class Holdings {
  readonly #most: number;
  readonly #what: string;
  readonly #held = new Map<string, number>();

  /** @param what they are, for the refusal: "rooms" */
  constructor(most: number, what: string) {
    this.#most = most;
    this.#what = what;
  }

  /** → to be called once when it is held no longer. @throws ApiError `quota_exceeded` */
  take(subject: string): () => void {
    const held = this.#held.get(subject) ?? 0;
    if (held >= this.#most) {
      throw new ApiError(
        'quota_exceeded',
        `You hold ${held} ${this.#what}, the most that one may: close some first.`,
        { limit: this.#most, used: held },
      );
    }
    this.#held.set(subject, held + 1);
    return () => {
      const left = (this.#held.get(subject) ?? 1) - 1;
      if (left > 0) this.#held.set(subject, left);
      else this.#held.delete(subject);
    };
  }
}

/** Bytes that each subject may hold, and all of them together. */
export class Budget {
  readonly #bounds: { perSubject: number; total: number };
  readonly #held = new Map<string, number>();
  #total = 0;

  constructor(bounds: { perSubject: number; total: number }) {
    this.#bounds = bounds;
  }

  /**
   * → to be called once when they are held no longer. What a subject takes while it holds nothing is never too much.
   * @throws ApiError `rate_limited` or `unavailable`
   */
  take(subject: string, bytes: number): () => void {
    const { perSubject, total } = this.#bounds;
    const held = this.#held.get(subject) ?? 0;
    const later = { retryAfterMs: 1000 };
    if (held > 0 && held + bytes > perSubject) {
      throw new ApiError(
        'rate_limited',
        'Your answers before are not read yet: read them, then ask again.',
        later,
      );
    }
    if (this.#total > 0 && this.#total + bytes > total) {
      throw new ApiError('unavailable', 'Too many answers are not read yet: ask again shortly.', later);
    }
    return this.add(subject, bytes);
  }

  /** As {@link take}, whatever is held already. */
  add(subject: string, bytes: number): () => void {
    this.#total += bytes;
    this.#held.set(subject, (this.#held.get(subject) ?? 0) + bytes);
    return () => {
      this.#total -= bytes;
      const left = (this.#held.get(subject) ?? 0) - bytes;
      if (left > 0) this.#held.set(subject, left);
      else this.#held.delete(subject);
    };
  }
}
