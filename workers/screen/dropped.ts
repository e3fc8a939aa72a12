import type { HostDropped } from '@warmwind/shared/contract/screen';
import { Throttle } from './throttle.ts';

/** How long counts are gathered before relays are notified, ms. */
const GATHER_MS = 250;
/** Most distinct notices that wait. */
const MAX_WAITING = 64;

/** Counts inputs that did not reach a desktop, and reports them to the relays of their viewers. */
export class Dropped {
  readonly #publish: (notice: HostDropped) => void;
  readonly #notices = new Map<string, HostDropped>();
  readonly #throttle = new Throttle();

  constructor(publish: (notice: HostDropped) => void) {
    this.#publish = publish;
  }

  add(viewerId: string, reason: HostDropped['reason'], count = 1): void {
    const name = `${viewerId} ${reason}`;
    if (this.#notices.size >= MAX_WAITING && !this.#notices.has(name)) this.send();
    const counted = this.#notices.get(name)?.count ?? 0;
    this.#notices.set(name, { viewerId, reason, count: counted + count });
    this.#throttle.run(GATHER_MS, () => this.send());
  }

  /** Publishes all counts now. */
  send(): void {
    this.#throttle.clear();
    for (const notice of this.#notices.values()) this.#publish(notice);
    this.#notices.clear();
  }
}
