/** `npm run ledger:forget -- <userId> --yes`: see docs/operations/backup.md. */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { isUserId } from '@warmwind/shared/contract/ids';
import { keys } from '@warmwind/shared/engine/keys';
import { Drain } from '@warmwind/shared/engine/node/drain';
import { CommandRefusedError, run, table } from './command.ts';
import { type System, withSystem } from './system.ts';
import { UserKeys } from './user-keys.ts';
import { UserRows } from './user-rows.ts';
import { type Open, UserWork } from './user-work.ts';

const DRAINED_WITHIN_MS = 60_000;
/** A worker's pending writes are done after this, ms. */
const SETTLED_AFTER_MS = 2000;
/** How often data that was written meanwhile is deleted again. */
const ROUNDS = 5;

type Counts = Record<string, number>;

/** The data of one user in every store. */
class Forget {
  readonly #user: string;
  readonly #system: System;
  readonly #rows: UserRows;
  readonly #keys: { queue: UserKeys; realtime: UserKeys };
  readonly #work: UserWork;

  constructor(user: string, system: System) {
    const { redis, ledger, records, queue } = system;
    this.#user = user;
    this.#system = system;
    this.#rows = new UserRows(ledger, user);
    this.#keys = { queue: new UserKeys(redis.queue, user), realtime: new UserKeys(redis.realtime, user) };
    this.#work = new UserWork({ user, redis: redis.queue, records, rows: this.#rows, queue });
  }

  /** Counts everything of the user. */
  async count(): Promise<Counts> {
    return {
      ...(await this.#rows.count()),
      'queue entries': (await this.#work.entries()).length,
      'keys in the queue Redis': await this.#keys.queue.count(),
      'keys in the realtime Redis': await this.#keys.realtime.count(),
    };
  }

  /**
   * Ends the user's running and waiting work.
   * @returns the work that has not ended in time
   */
  end(withinMs: number): Promise<Open> {
    return this.#work.end(withinMs);
  }

  /**
   * Deletes everything, and again the data that workers have written meanwhile.
   * @returns the data that is left
   */
  async delete(): Promise<Counts> {
    await this.#drain();
    for (let round = 1; ; round++) {
      await this.#work.remove();
      // Rows first: without its row no process makes records of an ended job.
      await this.#rows.delete();
      await Promise.all([this.#keys.queue.delete(), this.#keys.realtime.delete()]);
      await sleep(SETTLED_AFTER_MS);
      const left = await this.count();
      if (total(left) === 0 || round === ROUNDS) return left;
    }
  }

  /** Drains waiting changes into the ledger first: drained later, they would make new rows. */
  async #drain(): Promise<void> {
    const { redis, ledger, log } = this.#system;
    const drain = new Drain({ redis: redis.queue, ledger, log });
    const deadline = Date.now() + DRAINED_WITHIN_MS;
    await redis.queue.zincrby(keys.changedUsers(), 1, this.#user);
    while ((await redis.queue.xlen(keys.changes(this.#user))) > 0) {
      if (Date.now() > deadline)
        throw new Error('The ledger does not accept the changes that wait for it. Try again later.');
      await drain.once();
    }
  }
}

const total = (counts: Counts): number => Object.values(counts).reduce((sum, count) => sum + count, 0);

/** @returns whether nothing is left, or nothing was to be deleted */
async function forget(forgetting: Forget, user: string, yes: boolean, withinMs: number, report: Progress) {
  const found = await forgetting.count();
  if (!yes) {
    report(`Found of ${user}:\n${table(found)}\nNothing was deleted. Add --yes to delete it.`);
    return true;
  }
  const { desktops, jobs } = await forgetting.end(withinMs);
  if (desktops.length > 0 || jobs.length > 0) {
    report(
      `Nothing was deleted: these have not ended after ${withinMs / 1000} s. Check that workers run on their hosts.`,
    );
    for (const { containerId, state, host } of desktops) report(`  desktop ${containerId} ${state} ${host}`);
    for (const { id, state, kind } of jobs) report(`  job ${id} ${state} ${kind}`);
    return false;
  }
  const ended = await forgetting.count();
  const left = await forgetting.delete();
  if (total(left) > 0) {
    report(
      `Not everything was deleted. Revoke the tokens of ${user}, and run this again. Left:\n${table(left)}`,
    );
    return false;
  }
  report(
    `Deleted of ${user}:\n${table(ended)}\nNothing is left. Dumps and backups made before still have it.`,
  );
  return true;
}
type Progress = (text: string) => void;

const USAGE = 'Usage: npm run ledger:forget -- <userId> [--yes] [--within <seconds>]';

if (import.meta.main) {
  await run(async (report) => {
    const { positionals, values } = parseArgs({
      allowPositionals: true,
      options: { yes: { type: 'boolean', default: false }, within: { type: 'string', default: '60' } },
    });
    const [user, ...more] = positionals;
    const seconds = Number(values.within);
    if (!user || more.length > 0 || !(seconds > 0 && seconds <= 3600)) throw new CommandRefusedError(USAGE);
    if (!isUserId(user)) throw new CommandRefusedError(`No user can have this id. ${USAGE}`);
    return withSystem('forget', (system) =>
      forget(new Forget(user, system), user, values.yes, seconds * 1000, report),
    );
  });
}
