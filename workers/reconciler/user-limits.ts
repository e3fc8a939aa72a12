import { keys } from '@warmwind/shared/engine/keys';
import {
  listUserLimits,
  type RecordedLimits,
  recordedLimits,
} from '@warmwind/shared/engine/ledger/user-limits';
import { setUserLimits } from '@warmwind/shared/engine/scripts/user-limits.lua';
import { isUsual, setLimitsArgs } from '@warmwind/shared/engine/user-limits';
import { runScript } from '@warmwind/shared/runtime/node/script';
import { each } from '../each.ts';
import type { ReconcileContext } from './context.ts';
import { answersApart, PAGE, readable } from './pages.ts';

const AT_ONCE = 8;

/**
 * Restores the limits of users that Redis has lost, or has an earlier version of: a request sets them in the ledger
 * first. Until then those of the deployment hold, or the earlier ones.
 */
export async function reconcileUserLimits(context: ReconcileContext): Promise<void> {
  const { redis, ledger, signal, skip, count } = context;
  let after = '';
  while (!signal.aborted) {
    const rows = await ledger.run((db) => listUserLimits(db, after, PAGE));
    const recorded = readable(context, rows, recordedLimits);
    const asked = recorded.map(({ userId }) => keys.userLimits(userId));
    const times = redis.pipeline();
    for (const key of asked) times.hget(key, 'at');
    const known = await answersApart<string | null>(context, asked, times.exec());
    const outdated = recorded.filter((limits, i) => isOutdated(known[i], limits));
    const restore = async ({ userId, ...limits }: RecordedLimits) => {
      const [verdict] = await runScript(redis, setUserLimits, { userId }, setLimitsArgs(limits));
      if (verdict === 'set') count('restored');
    };
    await each(outdated, AT_ONCE, restore, skip);
    const last = rows.at(-1);
    if (rows.length < PAGE || !last) return;
    after = last.userId;
  }
}

/** Redis needs no record of limits that were removed, unless it has earlier ones. */
const isOutdated = (known: string | null | undefined, { at, limits }: RecordedLimits): boolean =>
  known ? Number(known) < at : known === null && !isUsual(limits);
