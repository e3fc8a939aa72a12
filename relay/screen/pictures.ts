import { ApiError } from '@warmwind/shared/errors';
import { FairGate } from '@warmwind/shared/node/fair-gate';
import type { Format, Screenshots } from '@warmwind/shared/node/screenshots';
import { SCREENSHOT_MS } from '@warmwind/shared/screen';
import { withTimeout } from '@warmwind/shared/timeout';
import { LIMITS } from '../limits.ts';
import { Budget, Holdings } from '../shares.ts';

/** A picture that is asked for: by its owner, of a desktop. */
export type PictureRequest = { subject: string; containerId: string; format: Format };

/**
 * Pictures of desktops. One desktop's are taken one after the other; all who ask while one is being taken share the next,
 * so that each gets a picture that is newer than the question. Users have shares of those that are taken at once, of the
 * askers, and of the bytes that wait to be read.
 */
export class Pictures {
  readonly #screenshots: Screenshots;
  readonly #gate = new FairGate(LIMITS.pictures);
  readonly #askers = new Holdings(LIMITS.pictureAskers, 'screenshots that are being taken');
  readonly #unread = new Budget(LIMITS.pictureBytes);
  /** By desktop and format: what is taken now, and what is taken next. */
  readonly #current = new Map<string, Promise<unknown>>();
  readonly #next = new Map<string, Promise<Buffer>>();

  constructor(screenshots: Screenshots) {
    this.#screenshots = screenshots;
  }

  /** → the picture, and what is to be called once when it has been read. */
  async ask(request: PictureRequest): Promise<{ bytes: Buffer; read: () => void }> {
    const leave = this.#join(request.subject);
    const tooLate = (): never => {
      throw new ApiError('upstream_timeout', "The desktop's host did not answer in time: ask again.");
    };
    try {
      const bytes = await withTimeout(this.#shared(request), SCREENSHOT_MS, tooLate);
      return { bytes, read: this.#unread.take(request.subject, bytes.length) };
    } finally {
      leave();
    }
  }

  #join(subject: string): () => void {
    try {
      return this.#askers.take(subject);
    } catch {
      throw new ApiError(
        'rate_limited',
        'Too many of your screenshots are being taken: ask again in a second.',
        {
          retryAfterMs: 1000,
        },
      );
    }
  }

  #shared(request: PictureRequest): Promise<Buffer> {
    const key = `${request.containerId} ${request.format}`;
    const known = this.#next.get(key);
    if (known) return known;
    const before = this.#current.get(key);
    const next = this.#take(request, key, before);
    this.#next.set(key, next);
    const ended = next.then(
      () => undefined,
      () => undefined,
    );
    this.#current.set(key, ended);
    void ended.then(() => {
      if (this.#current.get(key) === ended) this.#current.delete(key);
      if (this.#next.get(key) === next) this.#next.delete(key);
    });
    return next;
  }

  async #take(
    { subject, containerId, format }: PictureRequest,
    key: string,
    before: Promise<unknown> | undefined,
  ): Promise<Buffer> {
    await before;
    return this.#gate.run(subject, () => {
      this.#next.delete(key);
      return this.#screenshots.take(containerId, format);
    });
  }
}
