import { ApiError } from '@warmwind/shared/contract/errors';
import { Bucket } from './sockets/bucket.ts';

/** Subjects whose rate is remembered; above it the least recently used are forgotten. */
const MOST_SUBJECTS = 10_000;

/** A rate limit for each subject (a user or a share link), over all its sockets and requests. */
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

/** A limit on the number of things that each subject holds. */
export class Holdings {
  readonly #most: number;
  readonly #what: string;
  readonly #held = new Map<string, number>();

  /** @param what names the things in the refusal: "rooms" */
  constructor(most: number, what: string) {
    this.#most = most;
    this.#what = what;
  }

  /**
   * @returns a function that releases it, to call once
   * @throws ApiError `quota_exceeded`
   */
  take(subject: string): () => void {
    const held = this.#held.get(subject) ?? 0;
    if (held >= this.#most) {
      throw new ApiError(
        'quota_exceeded',
        `You hold ${held} ${this.#what}, which is the limit: close some first.`,
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

/** A limit on the bytes that each subject holds, and on those of all subjects together. */
export class ByteBudget {
  readonly #bounds: { perSubject: number; total: number };
  readonly #held = new Map<string, number>();
  #total = 0;

  constructor(bounds: { perSubject: number; total: number }) {
    this.#bounds = bounds;
  }

  /**
   * Takes `bytes`. A subject that holds none may take any number.
   * @returns a function that releases them, to call once
   * @throws ApiError `rate_limited` or `unavailable`
   */
  take(subject: string, bytes: number): () => void {
    const { perSubject, total } = this.#bounds;
    const held = this.#held.get(subject) ?? 0;
    const details = { retryAfterMs: 1000 };
    if (held > 0 && held + bytes > perSubject) {
      throw new ApiError(
        'rate_limited',
        'Your earlier answers are not read yet: read them, then ask again.',
        details,
      );
    }
    if (this.#total > 0 && this.#total + bytes > total) {
      throw new ApiError('unavailable', 'Too many answers are not read yet: ask again shortly.', details);
    }
    return this.add(subject, bytes);
  }

  /** As {@link take}, without the limits. */
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
