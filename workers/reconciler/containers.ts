import { hasEnded } from '@warmwind/shared/contract/containers';
import { keys } from '@warmwind/shared/engine/keys';
import {
  containersById,
  jobsOfContainers,
  openContainers,
  readContainer,
} from '@warmwind/shared/engine/ledger/reads';
import { type ContainerRow, containerRow, type JobRow } from '@warmwind/shared/engine/ledger/rows';
import { runningSince } from '../containers/running.ts';
import { parseSpec } from '../containers/spec.ts';
import { each } from '../each.ts';
import type { ReconcileContext } from './context.ts';
import { expiresLater, isNewerContainer, recordNewer } from './newer.ts';
import { openRows, PAGE, readRows } from './pages.ts';

const AT_ONCE = 8;

/**
 * Reconciles the open desktops of the ledger. Restores records that Redis lost or holds under an older
 * placement, and closes desktops that have ended. Also closes desktops that hosts hold although they have
 * ended in the ledger.
 */
export async function reconcileContainers(context: ReconcileContext): Promise<void> {
  const { records, skip, count } = context;
  for await (const rows of openRows(context, openContainers)) {
    const asked = rows.map(({ userId, id }) => ({ key: keys.container(userId, id), userId }));
    const known = await readRows(context, asked, containerRow);
    const compared = rows.map((row, i) => ({ containerId: row.id, row, record: known[i] }));
    const restore = async ({ row, record }: (typeof compared)[number]) => {
      if (!record || record.fence < row.fence) {
        if (await records.containers.restore(row)) count('restored');
      } else if (record.state === 'starting' && row.state === 'running' && record.fence === row.fence) {
        if (await restoreRunning(context, row)) count('restored');
      } else if (expiresLater(row, record)) {
        if (await restoreExpiry(context, row)) count('restored');
      }
    };
    await each(compared, AT_ONCE, restore, skip);
    const newer = known.filter((record, i) => record !== undefined && isNewerContainer(record, rows[i]));
    await recordNewer(context, { jobs: [], containers: newer.filter((record) => record !== undefined) });
    await followJobs(context, rows);
  }
  await closeEnded(context);
}

/**
 * Records in Redis that a start has completed. Redis may have lost its last seconds.
 * @returns whether it changed
 */
async function restoreRunning({ records }: ReconcileContext, row: ContainerRow): Promise<boolean> {
  const { userId, id: containerId, fence, width, height, warm, startedAt, expiresAt } = row;
  if (!startedAt || !expiresAt) return false;
  const times = { startedAt: startedAt.getTime(), expiresAt: expiresAt.getTime() };
  const size = { width, height };
  const change = { to: 'running' as const, from: ['starting' as const], fence, ...size, warm, ...times };
  return (await records.containers.change({ userId, containerId }, change)) === 'ok';
}

/**
 * Extends a desktop in Redis whose extension only the ledger has. A user's changes that wait for the ledger are
 * newer than its rows.
 * @returns whether it changed
 */
async function restoreExpiry(
  { redis, records, ledger }: ReconcileContext,
  { userId, id: containerId }: ContainerRow,
): Promise<boolean> {
  const record = await records.containers.get({ userId, containerId });
  if (record?.state !== 'running' && record?.state !== 'paused') return false;
  if ((await redis.xlen(keys.changes(userId))) > 0) return false;
  // A change leaves Redis after the ledger has it: only a row that is read now has all changes of the record.
  const now = await ledger.run((db) => readContainer(db, userId, containerId));
  const expiresAt = now?.fence === record.fence ? now.expiresAt?.getTime() : undefined;
  if (expiresAt === undefined || expiresAt <= (record.expiresAt ?? 0)) return false;
  return (await records.containers.extend(record, expiresAt, record.expiresAt)) === 'ok';
}

/**
 * Completes desktops whose start or stop has completed in the ledger: the change of the desktop itself was
 * lost. Also stops a stopping desktop without a host and an open stop: its start was cancelled and the
 * follow-up lost.
 */
async function followJobs(
  { ledger, records, skip, count }: ReconcileContext,
  rows: ContainerRow[],
): Promise<void> {
  const jobsOf = await ledger.run((db) => jobsOfContainers(db, rows));
  const follow = async ({ userId, id: containerId, state, host }: ContainerRow) => {
    const { started, stop } = jobsOf.get(containerId) ?? {};
    const abandoned = state === 'stopping' && !host && (!stop || stop.finishedAt !== null);
    const stopped = stop?.state === 'completed' || abandoned;
    if (!started?.finishedAt && !stopped) return;
    const record = await records.containers.get({ userId, containerId });
    if (!record || hasEnded(record.state) || (abandoned && record.host)) return;
    const change = stopped
      ? { to: 'stopped' as const, fence: record.fence }
      : record.state === 'starting' && started?.finishedAt
        ? runningSince(parseSpec(record.spec), {
            fence: record.fence,
            startedAt: started.finishedAt.getTime(),
            warm: wasWarm(started),
          })
        : undefined;
    if (change && (await records.containers.change(record, change)) === 'ok')
      count(stopped ? 'closed' : 'restored');
  };
  await each(rows, AT_ONCE, follow, skip);
}

/** Closes desktops that a host holds although they have ended in the ledger: Redis lost the end. */
async function closeEnded(context: ReconcileContext): Promise<void> {
  const { redis, ledger, records, signal } = context;
  for (const host of await redis.zrange(keys.hosts(), '0', '-1')) {
    const members = await records.containers.ofHost(host);
    for (let from = 0; from < members.length && !signal.aborted; from += PAGE) {
      const ids = members.slice(from, from + PAGE).map(({ containerId }) => containerId);
      const rows = (await ledger.run((db) => containersById(db, ids))).filter((row) => row.endedAt);
      await each(rows, AT_ONCE, (row) => closeContainer(context, row), context.skip);
    }
  }
}

/** Records in Redis an end that the ledger holds. */
export async function closeContainer({ records, count }: ReconcileContext, row: ContainerRow): Promise<void> {
  const { userId, id: containerId, state: to, error, exit, endReason } = row;
  const record = await records.containers.get({ userId, containerId });
  if (!record || hasEnded(record.state)) return;
  const { fence } = record;
  const change =
    to === 'failed'
      ? { to, fence, error: error ?? undefined, exit: exit ?? undefined }
      : to === 'stopped' || to === 'lost'
        ? { to, fence, reason: endReason ?? undefined }
        : undefined;
  if (change && (await records.containers.change(record, change)) === 'ok') count('closed');
}

/** Whether a completed start took its container from the warm pool. */
const wasWarm = ({ result }: JobRow): boolean => (result as { warm?: boolean } | null)?.warm === true;
