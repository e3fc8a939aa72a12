import { SIZES } from '@warmwind/shared/contract/screen';
import { ProtocolError } from '../screen/rfb/feed.ts';
import type { Size } from '../screen/rfb/messages.ts';
import { CHANNELS } from './pixels.ts';

/** Largest screen, and the memory of all framebuffers of a host, bytes: eight of the largest. */
const MAX_SCREEN_BYTES = SIZES.most.width * SIZES.most.height * CHANNELS;
const MAX_BYTES = 8 * MAX_SCREEN_BYTES;

/** A framebuffer that takes memory. `release` closes it, when nothing uses it. */
type Owner = { isIdle: () => boolean; release: () => void };

/** Bounds the memory of the framebuffers of a host. */
export class FramebufferMemory {
  readonly #maxBytes: number;
  /** In the order of their last reservations. */
  readonly #held = new Map<Owner, number>();
  #bytes = 0;

  constructor(maxBytes = MAX_BYTES) {
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Reserves memory for a screen, in place of what its owner held. It closes others that are not in use. The
   * next power of two is reserved, so that a screen that grows all the time takes memory a few times only.
   * @returns the bytes reserved
   * @throws ProtocolError when the screen is too large, or all others are in use
   */
  reserve(owner: Owner, { width, height }: Size): number {
    const needed = width * height * CHANNELS;
    if (needed > MAX_SCREEN_BYTES) throw new ProtocolError(`a screen of ${width} × ${height} pixels`);
    const bytes = Math.min(2 ** Math.ceil(Math.log2(needed)), MAX_SCREEN_BYTES);
    this.free(owner);
    for (const other of this.#held.keys()) {
      if (this.#bytes + bytes <= this.#maxBytes) break;
      if (!other.isIdle()) continue;
      other.release();
      this.free(other);
    }
    if (this.#bytes + bytes > this.#maxBytes) throw new ProtocolError('too many screens are in use');
    this.#held.set(owner, bytes);
    this.#bytes += bytes;
    return bytes;
  }

  free(owner: Owner): void {
    this.#bytes -= this.#held.get(owner) ?? 0;
    this.#held.delete(owner);
  }
}
