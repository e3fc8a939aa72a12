import { ApiError } from '@warmwind/shared/contract/errors';
import { Slots } from '@warmwind/shared/runtime/slots';
import type { DesktopFramebuffer } from '../framebuffer/desktop.ts';
import { encode, type Picture, type PictureRequest, snapshot } from '../framebuffer/picture.ts';
import type { Framebuffer } from '../framebuffer/session.ts';

/** Pictures taken at once on one host, and most pictures of one user that wait. */
const AT_ONCE = 8;
const WAITING_PER_USER = 8;

/** The desktop to take a picture of. */
type Source = { userId: string; framebuffer: DesktopFramebuffer };

/**
 * A request for a picture. `changedSince`: only of another frame than this one, for which it waits at most
 * `waitMs`. `region` is checked against the present size of the screen.
 */
export type ScreenshotRequest = PictureRequest & { changedSince?: string | undefined; waitMs?: number };

/** Takes pictures of a host's desktops: a few at once, shared among users. */
export class Screenshots {
  readonly #slots = new Slots(AT_ONCE);
  readonly #waiting: { userId: string; go: (release: () => void) => void }[] = [];

  /**
   * Takes an encoded picture of the present screen.
   * @returns `undefined` when the screen still shows `changedSince`
   * @throws ApiError `unavailable`, or `bad_request` for a region outside of the screen
   */
  async take(source: Source, request: ScreenshotRequest, signal: AbortSignal): Promise<Picture | undefined> {
    try {
      return await source.framebuffer.use(async (framebuffer) => {
        if (!(await hasChanged(framebuffer, request, signal))) return undefined;
        return await this.encoded(source.userId, async () => {
          await framebuffer.sync();
          checkRegion(framebuffer, request);
          return encode(snapshot(framebuffer, request), request);
        });
      });
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof ApiError) throw error;
      const message = error instanceof TooManyPicturesError ? error.message : NOT_SHOWN;
      throw new ApiError('unavailable', message, { retryAfterMs: 1000 });
    }
  }

  /** Runs the work of one picture within its user's share. @throws TooManyPicturesError */
  async encoded<T>(userId: string, work: () => Promise<T>): Promise<T> {
    const release = this.#slots.take(userId) ?? (await this.#slotOf(userId));
    try {
      return await work();
    } finally {
      release();
      this.#next();
    }
  }

  async #slotOf(userId: string): Promise<() => void> {
    const own = this.#waiting.filter((waiting) => waiting.userId === userId);
    if (own.length >= WAITING_PER_USER) throw new TooManyPicturesError();
    return new Promise((go) => this.#waiting.push({ userId, go }));
  }

  /** Gives free slots to the requests that have waited longest, within each user's share. */
  #next(): void {
    for (const waiting of [...this.#waiting]) {
      const release = this.#slots.take(waiting.userId);
      if (!release) continue;
      this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
      waiting.go(release);
    }
  }
}

/** Waits for another frame than `changedSince`. @returns false when none comes in time */
async function hasChanged(
  framebuffer: Framebuffer,
  { changedSince, waitMs = 0, cursor = false }: ScreenshotRequest,
  signal: AbortSignal,
): Promise<boolean> {
  if (changedSince === undefined) return true;
  await framebuffer.sync();
  const isOther = () => framebuffer.hasEnded || framebuffer.frameId(cursor) !== changedSince;
  if (waitMs === 0 || isOther()) return isOther();
  const until = AbortSignal.any([signal, AbortSignal.timeout(waitMs)]);
  const stopWatching = framebuffer.watch();
  try {
    while (!until.aborted && !isOther()) await framebuffer.changed(until);
  } finally {
    stopWatching();
  }
  signal.throwIfAborted();
  return isOther();
}

/** @throws ApiError `bad_request` */
function checkRegion({ pixels }: Framebuffer, { region }: ScreenshotRequest): void {
  if (!region || pixels.contains(region)) return;
  const { width, height } = pixels.size;
  const message = `must lie on the screen of ${width} × ${height} pixels`;
  throw new ApiError('bad_request', `The region ${message}.`, { issues: [{ path: 'region', message }] });
}

const NOT_SHOWN = 'The desktop did not send its screen. Check that it runs, then retry.';

class TooManyPicturesError extends Error {
  override name = 'TooManyPicturesError';

  constructor() {
    super('Too many screenshots of your desktops are in progress. Wait for some of them, then retry.');
  }
}
