import {
  DROPPED,
  type DroppedReason,
  type Holder,
  type InputDropped,
} from '@warmwind/shared/contract/screen';
import { LIMITS } from '../limits.ts';
import type { RelaySocket } from '../sockets/socket.ts';

/** The most notices that wait at once, one for each desktop and reason. */
const MAX_WAITING = 64;

type Notice = Omit<InputDropped, 'message'>;

/** Counts the inputs of one socket that did not reach their desktops, and notifies the socket. */
export class Dropped {
  readonly #socket: RelaySocket;
  readonly #notices = new Map<string, Notice>();
  #sentAt = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;

  constructor(socket: RelaySocket) {
    this.#socket = socket;
  }

  add(containerId: string, reason: DroppedReason, holder: Holder | null = null, count = 1): void {
    const name = `${containerId} ${reason}`;
    if (this.#notices.size >= MAX_WAITING && !this.#notices.has(name)) this.send();
    const counted = this.#notices.get(name)?.count ?? 0;
    this.#notices.set(name, { containerId, reason, count: counted + count, holder });
    const dueMs = this.#sentAt + LIMITS.droppedMs - performance.now();
    this.#timer ??= setTimeout(() => this.send(), Math.max(LIMITS.droppedGatherMs, dueMs));
  }

  /** Sends the notices that have been counted so far. */
  send(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#sentAt = performance.now();
    for (const notice of this.#notices.values()) {
      const message = DROPPED[notice.reason];
      this.#socket.emit('vnc:dropped', { ...notice, message } satisfies InputDropped);
    }
    this.#notices.clear();
  }
}
