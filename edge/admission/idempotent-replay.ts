import { hasEnded } from '@warmwind/shared/contract/containers';
import { isTerminal } from '@warmwind/shared/contract/jobs';
import type { Db } from '@warmwind/shared/engine/ledger/db';
import { readContainers, readJob } from '@warmwind/shared/engine/ledger/reads';
import { restoreContainer, restoreJob } from '@warmwind/shared/engine/ledger/restore';
import type { ContainerRow, JobRow } from '@warmwind/shared/engine/ledger/rows';
import type { RecordedKey } from '@warmwind/shared/engine/ledger/submissions';
import { containerIdsOf } from '@warmwind/shared/engine/refs';
import type { Services } from '../services.ts';
import { refusal } from './refusal.ts';
import { runOfRow } from './rows.ts';
import type { AcceptedJob, Submission } from './submission.ts';

/** The job of an idempotency key and the containers that it names, as the ledger has them. */
export type OriginalJob = RecordedKey & { job: JobRow | undefined; containers: ContainerRow[] };

export async function readOriginalJob(db: Db, userId: string, key: RecordedKey): Promise<OriginalJob> {
  const job = await readJob(db, userId, key.jobId);
  const ids = job ? containerIdsOf(job) : [key.containerId];
  return { ...key, job, containers: await readContainers(db, userId, ids) };
}

/**
 * Returns the job of an idempotency key, or the outstanding job that answers a request without one. A job that
 * has not ended is restored to Redis and its queue.
 * @throws ApiError `conflict` when the key was used for another request
 */
export async function idempotentReplay(
  { submissions }: Services,
  submission: Submission,
  { job, containers, ...key }: OriginalJob,
): Promise<AcceptedJob> {
  const { userId, idempotency } = submission;
  if (idempotency && key.requestHash !== idempotency.requestHash)
    throw refusal({ verdict: 'mismatch' }, submission);
  if (job && !isTerminal(job.state)) {
    const now = Date.now();
    const open = containers.filter(({ state }) => !hasEnded(state));
    await Promise.all([
      submissions.restore(restoreJob(job, now)),
      ...open.map((container) => submissions.restore(restoreContainer(container, now))),
    ]);
    await submissions.enqueue(runOfRow(job));
  }
  if (idempotency) await submissions.rememberKey(userId, idempotency, key);
  return {
    verdict: 'replayed',
    jobId: key.jobId,
    containerId: key.containerId,
    ...(job?.containerIds ? { containerIds: job.containerIds } : {}),
    queue: job?.queue ?? '',
    state: job?.state ?? 'completed',
    run: job?.run ?? 1,
    priority: job?.priority ?? 0,
    createdAt: key.createdAt.getTime(),
  };
}
