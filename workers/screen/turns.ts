import { Budget, RecentUse } from './budget.ts';

/** How long one turn may last, ms: then whoever has had less comes first. */
export const TURN_MS = 2;
/** What the screens of a host may take of this process in a millisecond, ms, and at once: all of them, and one user's. */
const OF_ALL = { perMs: 0.7, burst: 10 };
const OF_USER = { perMs: 0.5, burst: 50 };
/** What one user's screens may put on the wire: bytes in a millisecond, and at once. */
const USER_BYTES = { perMs: 6000, burst: 4 * 2 ** 20 };
/** What was taken longer ago than this counts little when it is decided whose turn it is, ms. */
const HALF_LIFE_MS = 1000;

/** One reader's part in the turns of its host. */
export type Turn = {
  /** @returns what is to be waited for before any work; `undefined`: it may begin, and goes on until it awaits something. */
  take: () => Promise<void> | undefined;
  /** Accounts for work that was done in a turn, ms. */
  spent: (ms: number) => void;
  /** Accounts for bytes of its user on the wire. @returns how long to wait before more are asked for, ms */
  sent: (bytes: number) => number;
};

type User = { use: RecentUse; busy: Budget; bytes: Budget };
type Waiter = { user: User; own: RecentUse; go: () => void };

/**
 * Shares this process's time among the screens that it reads: among users first, then among the screens of each. Work is
 * done in short turns with a look at all sockets between two of them; the next turn is the waiting user's who has had the
 * least of late, and the waiting screen's of that user which has. So one that changes little is never behind those that
 * change all the time, however many they are.
 */
export class ScreenTurns {
  readonly #all = new Budget(OF_ALL.perMs, OF_ALL.burst);
  readonly #users = new Map<string, User>();
  readonly #waiting = new Set<Waiter>();
  /** What was done since sockets were looked at last, ms. */
  #sinceLook = 0;
  #looking = false;
  /** The next turn: given at once, or when the budgets allow it. */
  #soon: NodeJS.Immediate | undefined;
  #planned: NodeJS.Timeout | undefined;

  join(userId: string): Turn {
    const user = this.#user(userId);
    const own = new RecentUse(HALF_LIFE_MS);
    return {
      take: () => {
        const free = this.#waiting.size === 0 && this.#sinceLook < TURN_MS;
        if (free && Math.max(this.#all.take(0), user.busy.take(0)) === 0) return undefined;
        return new Promise((go) => {
          this.#waiting.add({ user, own, go });
          // Those that wait already may have to wait for longer.
          clearTimeout(this.#planned);
          this.#planned = undefined;
          this.#plan();
        });
      },
      spent: (ms) => {
        own.add(ms);
        user.use.add(ms);
        user.busy.take(ms);
        this.#all.take(ms);
        this.#sinceLook += ms;
        this.#look();
      },
      sent: (bytes) => user.bytes.take(bytes),
    };
  }

  /** A user is known for as long as recent use counts, whether a screen is read now or not. */
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

  /** Notices when sockets have been looked at. */
  #look(): void {
    if (this.#looking) return;
    this.#looking = true;
    setImmediate(() => {
      this.#looking = false;
      this.#sinceLook = 0;
    });
  }

  #plan(): void {
    if (this.#soon || this.#planned || this.#waiting.size === 0) return;
    const users = new Set(Array.from(this.#waiting, ({ user }) => user));
    const userMs = Math.min(...Array.from(users, ({ busy }) => busy.take(0)));
    const waitMs = Math.max(this.#all.take(0), userMs);
    const grant = () => {
      this.#soon = undefined;
      this.#planned = undefined;
      this.#grant();
      this.#plan();
    };
    if (waitMs >= 1) this.#planned = setTimeout(grant, waitMs);
    else this.#soon = setImmediate(grant);
  }

  /** Gives the next turn away: what is done in it begins before anything else. */
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
