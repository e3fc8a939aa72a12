import { isTerminal } from '@warmwind/shared/contract/jobs';
import { keys } from '@warmwind/shared/engine/keys';
import { jobsById } from '@warmwind/shared/engine/ledger/reads';
import { containerRow, type JobRow, jobRow } from '@warmwind/shared/engine/ledger/rows';
import type { JobEnd } from '@warmwind/shared/engine/node/records';
import type { JobData } from '@warmwind/shared/engine/queues';
import { each } from '../each.ts';
import { readJobData } from '../runtime/data.ts';
import type { ReconcileContext } from './context.ts';
import { byId, recordNewer } from './newer.ts';
import { readRows } from './pages.ts';
import { type Entry, entriesOf, queueNames } from './queued-runs.ts';

const AT_ONCE = 8;

/**
 * Reconciles the waiting and active runs of the queues. Records jobs that the ledger lacks. Closes runs that
 * have ended in the ledger and removes them from their queue.
 */
export async function reconcileEntries(context: ReconcileContext): Promise<void> {
  for (const queue of await queueNames(context.redis)) {
    for await (const entries of entriesOf(context.redis, queue)) {
      if (context.signal.aborted) return;
      const runs = entries.flatMap((entry) => runOf(entry, context.until) ?? []);
      if (runs.length === 0) continue;
      const ids = runs.map(({ data }) => data.jobId);
      const rows = byId(await context.ledger.run((db) => jobsById(db, ids)));
      await recordUnknown(
        context,
        runs.filter(({ data }) => !rows.has(data.jobId)).map(({ data }) => data),
      );
      const closed = async ({ id, data }: Run) => {
        const row = rows.get(data.jobId);
        if (row?.finishedAt && row.run === data.run) await close(context, queue, id, data, row);
      };
      await each(runs, AT_ONCE, closed, context.skip);
    }
  }
}

type Run = { id: string; data: JobData };

/** Returns `undefined` for an entry that is too young or unreadable. */
function runOf({ id, timestamp, data: text }: Entry, until: number): Run | undefined {
  const data = timestamp < until ? readJobData(text) : undefined;
  return data && { id, data };
}

async function recordUnknown(context: ReconcileContext, unknown: JobData[]): Promise<void> {
  if (unknown.length === 0) return;
  const jobs = await readRows(
    context,
    unknown.map(({ userId, jobId }) => ({ key: keys.job(userId, jobId), userId })),
    jobRow,
  );
  const desktops = await readRows(
    context,
    unknown.map(({ userId, containerId }) => ({ key: keys.container(userId, containerId), userId })),
    containerRow,
  );
  // An entry without a record was withdrawn.
  const known = jobs.flatMap((job, i) => (job ? { job, container: desktops[i] } : []));
  await recordNewer(context, {
    jobs: known.map(({ job }) => job),
    containers: known.flatMap(({ container }) => container ?? []),
  });
}

async function close(
  { records, queue, count }: ReconcileContext,
  name: string,
  id: string,
  data: JobData,
  row: JobRow,
): Promise<void> {
  const end = endOf(row);
  if (!end) return;
  if ((await records.jobs.end(data, end)) === 'ok') count('closed');
  // An active entry can't be removed: its worker finds the run ended.
  await queue(name)
    .remove(id)
    .catch(() => undefined);
}

/** Returns the end in a row; `undefined` while its run is open. */
export function endOf({ state, result, error }: JobRow): JobEnd | undefined {
  if (!isTerminal(state)) return undefined;
  if (state === 'completed') return { state, ...(result === null ? {} : { result }) };
  return { state, ...(error ? { error } : {}) };
}
