import { Budget, RecentUse } from './budget.ts';

/** Longest turn, ms: after it, readers with less recent use come first. */
export const TURN_MS = 2;
/** Time of this process for all screens, and for those of one user: ms per ms, and the largest burst, ms. */
const OF_ALL = { perMs: 0.7, burst: 10 };
const OF_USER = { perMs: 0.5, burst: 50 };
/** Bandwidth of one user's screens: bytes per millisecond, and the largest burst, bytes. */
const USER_BYTES = { perMs: 6000, burst: 4 * 2 ** 20 };
/** Half-life of recent use, which decides the next turn, ms. */
const HALF_LIFE_MS = 1000;

/** One reader's access to the turns of its host. */
export type Turn = {
  /** @returns a promise to await before any work; `undefined`: the reader may work until it awaits */
  take: () => Promise<void> | undefined;
  /** Accounts for work that was done in a turn, ms. */
  spent: (ms: number) => void;
  /** Accounts for bytes of its user on the wire. @returns the wait before more are requested, ms */
  sent: (bytes: number) => number;
};

type User = { use: RecentUse; busy: Budget; bytes: Budget };
type Waiter = { user: User; own: RecentUse; go: () => void };

/**
 * Shares this process's time among the screens that it reads: first among users, then among the screens of
 * each user. Work is done in short turns, and all sockets are polled between two turns. The next turn goes to
 * the waiting user with the least recent use, and to that user's waiting screen with the least. A screen that
 * changes little is therefore never behind screens that change all the time, however many there are.
 */
export class ScreenTurns {
  readonly #all = new Budget(OF_ALL.perMs, OF_ALL.burst);
  readonly #users = new Map<string, User>();
  readonly #waiting = new Set<Waiter>();
  /** Work since sockets were last polled, ms. */
  #sincePollMs = 0;
  #pollPending = false;
  /** The next grant: at once, or when the budgets allow it. */
  #immediate: NodeJS.Immediate | undefined;
  #timer: NodeJS.Timeout | undefined;

  join(userId: string): Turn {
    const user = this.#user(userId);
    const own = new RecentUse(HALF_LIFE_MS);
    return {
      take: () => {
        const free = this.#waiting.size === 0 && this.#sincePollMs < TURN_MS;
        if (free && Math.max(this.#all.take(0), user.busy.take(0)) === 0) return undefined;
        return new Promise((go) => {
          this.#waiting.add({ user, own, go });
          // The scheduled grant may be for a user who has to wait for longer.
          clearTimeout(this.#timer);
          this.#timer = undefined;
          this.#schedule();
        });
      },
      spent: (ms) => {
        own.add(ms);
        user.use.add(ms);
        user.busy.take(ms);
        this.#all.take(ms);
        this.#sincePollMs += ms;
        this.#resetAfterPoll();
      },
      sent: (bytes) => user.bytes.take(bytes),
    };
  }

  /** Returns the shares of a user. They are kept while recent use counts, with or without an open screen. */
  #user(userId: string): User {
    for (const [id, { use, bytes }] of this.#users) {
      if (id !== userId && use.amount < 0.01 && bytes.take(0) === 0) this.#users.delete(id);
    }
    const user = this.#users.get(userId) ?? {
      use: new RecentUse(HALF_LIFE_MS),
      busy: new Budget(OF_USER.perMs, OF_USER.burst),
      bytes: new Budget(USER_BYTES.perMs, USER_BYTES.burst),
    };
    this.#users.set(userId, user);
    return user;
  }

  /** Resets the count once sockets have been polled. */
  #resetAfterPoll(): void {
    if (this.#pollPending) return;
    this.#pollPending = true;
    setImmediate(() => {
      this.#pollPending = false;
      this.#sincePollMs = 0;
    });
  }

  #schedule(): void {
    if (this.#immediate || this.#timer || this.#waiting.size === 0) return;
    const users = new Set(Array.from(this.#waiting, ({ user }) => user));
    const userMs = Math.min(...Array.from(users, ({ busy }) => busy.take(0)));
    const waitMs = Math.max(this.#all.take(0), userMs);
    const grant = () => {
      this.#immediate = undefined;
      this.#timer = undefined;
      this.#grant();
      this.#schedule();
    };
    if (waitMs >= 1) this.#timer = setTimeout(grant, waitMs);
    else this.#immediate = setImmediate(grant);
  }

  /** Grants the next turn: its work begins before any other. */
  #grant(): void {
    if (this.#all.take(0) >= 1) return;
    let next: Waiter | undefined;
    for (const waiter of this.#waiting) {
      if (waiter.user.busy.take(0) >= 1) continue;
      if (!next || before(waiter, next)) next = waiter;
    }
    if (!next) return;
    this.#waiting.delete(next);
    next.go();
  }
}

function before(a: Waiter, b: Waiter): boolean {
  return a.user === b.user ? a.own.amount < b.own.amount : a.user.use.amount < b.user.use.amount;
}
