import { OPERATORS } from '@warmwind/shared/contract/webhook-target';
import type { JobLoad } from './jobs.ts';
import type { EndRow, JobRow, Violate } from './violations.ts';
import type { World } from './world.ts';

/** Counts of the notifications that owners, watchers and operators received. */
export type ReceivedEvents = {
  webhooks: number;
  alerts: number;
  /** Repeated deliveries of the same webhook. */
  redelivered: number;
  watchers: number;
  /** How often a watcher was cut off and reconnected. */
  interruptions: number;
  /** Ends that a watcher received as a snapshot. */
  snapshots: number;
};

type StartedRow = { job_id: string; run: number };

/** Checks that owners, watchers and, for failed runs, operators received each end once, as in the ledger. */
export async function checkReceivedEvents(
  { receiver, postgres }: World,
  load: JobLoad,
  rows: JobRow[],
  ends: EndRow[],
  violate: Violate,
): Promise<ReceivedEvents> {
  const started = await postgres.sql<StartedRow[]>`
    select distinct job_id, run from job_changes where state = 'active'`;
  const wanted = new Map<string, string | undefined>();
  const unwanted = new Set<string>();
  for (const { id } of rows) if (load.jobs.get(id)?.webhook !== true) unwanted.add(id);
  for (const { job_id, run } of started) {
    if (!unwanted.has(job_id)) wanted.set(`${job_id}.${run}.active`, 'job.active');
  }
  for (const { job_id, run, state } of ends) {
    if (!unwanted.has(job_id)) wanted.set(`${job_id}.${run}.end`, `job.${state}`);
    if (state === 'failed' || state === 'timed_out') wanted.set(`${job_id}.${run}.alert`, 'alert.job_failed');
  }

  const { delivered } = receiver;
  for (const [id, type] of wanted) {
    const jobId = id.slice(0, id.indexOf('.'));
    const came = delivered.get(id);
    if (!came) violate('each notified once', jobId, `${type} was never delivered (${id})`);
    else if (came.event.type !== type)
      violate('each notified once', jobId, `${id} has type ${came.event.type}, not ${type}`);
  }
  let [alerts, redelivered] = [0, 0];
  for (const [id, { user, event, texts, times, verified }] of delivered) {
    const jobId = id.slice(0, id.indexOf('.'));
    if (user === OPERATORS) alerts += 1;
    redelivered += times - 1;
    // A run that was claimed and cancelled between two drains has no such change.
    if (!wanted.has(id) && event.type !== 'job.active')
      violate('each notified once', jobId, `${event.type} without a cause in the ledger (${id})`);
    if (!verified)
      violate('each notified once', jobId, `${id} has an invalid signature or went to another user`);
    if (event.id !== id) violate('each notified once', jobId, `${id} has the event id ${event.id}`);
    if (texts.size > 1)
      violate('each notified once', jobId, `${id} came with ${texts.size} contents: ${[...texts].join(' ')}`);
  }

  const ended = new Map(ends.map(({ job_id, run, state }) => [`${job_id}.${run}`, state]));
  for (const { jobId, ends: seen, over, twice } of load.watchers) {
    for (const one of twice) violate('watchers see one end', jobId, `received twice: ${one}`);
    if (!over) violate('watchers see one end', jobId, 'its stream did not end in time');
    // The event of an end may follow a snapshot of it: the event is older than the snapshot.
    const runs = seen.filter(({ snapshot }) => !snapshot).map(({ run }) => run);
    if (new Set(runs).size !== runs.length) {
      violate(
        'watchers see one end',
        jobId,
        `ends seen: ${seen.map(({ run, state }) => `${run} ${state}`).join(', ')}`,
      );
    }
    for (const { run, state } of seen) {
      const right = ended.get(`${jobId}.${run}`);
      if (state !== right)
        violate('watchers see one end', jobId, `run ${run}: saw ${state}, the ledger has ${right}`);
    }
  }
  for (const run of load.cancelled) {
    const state = ended.get(run);
    if (state !== 'cancelled') {
      violate(
        'an acknowledged cancel holds',
        run.slice(0, run.lastIndexOf('.')),
        `answered 202, the ledger has ${state}`,
      );
    }
  }
  return {
    webhooks: delivered.size - alerts,
    alerts,
    redelivered,
    watchers: load.watchers.length,
    interruptions: load.watchers.reduce((sum, { interruptions }) => sum + interruptions, 0),
    snapshots: load.watchers.flatMap(({ ends: seen }) => seen).filter(({ snapshot }) => snapshot).length,
  };
}
