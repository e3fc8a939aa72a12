import { hasEnded } from '@warmwind/shared/containers';
import { isTerminal } from '@warmwind/shared/jobs';
import type { Db } from '@warmwind/shared/ledger/db';
import { readContainers, readJob } from '@warmwind/shared/ledger/reads';
import { restoreContainer, restoreJob } from '@warmwind/shared/ledger/restore';
import type { ContainerRow, JobRow } from '@warmwind/shared/ledger/rows';
import type { Earlier } from '@warmwind/shared/ledger/submissions';
import { containerIdsOf } from '@warmwind/shared/refs';
import type { Services } from '../services.ts';
import { refusal } from './refusal.ts';
import { type AcceptedJob, runOfRow, type Submission } from './submission.ts';

/** The job that an idempotency key stands for, and the containers that it names, as the ledger has them. */
export type EarlierJob = Earlier & { job: JobRow | undefined; containers: ContainerRow[] };

export async function readEarlier(db: Db, userId: string, earlier: Earlier): Promise<EarlierJob> {
  const job = await readJob(db, userId, earlier.jobId);
  const ids = job ? containerIdsOf(job) : [earlier.containerId];
  return { ...earlier, job, containers: await readContainers(db, userId, ids) };
}

/** Answers with the job that the key stands for, which goes back into Redis if it has not ended. */
export async function answerEarlier(
  { submissions }: Services,
  submission: Submission,
  { job, containers, ...earlier }: EarlierJob,
): Promise<AcceptedJob> {
  const { userId, idempotency } = submission;
  if (earlier.requestHash !== idempotency?.requestHash) throw refusal({ verdict: 'mismatch' }, submission);
  if (job && !isTerminal(job.state)) {
    const now = Date.now();
    const open = containers.filter(({ state }) => !hasEnded(state));
    await Promise.all([
      submissions.restore(restoreJob(job, now)),
      ...open.map((container) => submissions.restore(restoreContainer(container, now))),
    ]);
    await submissions.enqueue(runOfRow(job));
  }
  await submissions.remember(userId, idempotency, earlier);
  return {
    verdict: 'replayed',
    jobId: earlier.jobId,
    containerId: earlier.containerId,
    ...(job?.containerIds ? { containerIds: job.containerIds } : {}),
    queue: job?.queue ?? '',
    state: job?.state ?? 'completed',
    run: job?.run ?? 1,
    priority: job?.priority ?? 0,
    createdAt: earlier.createdAt.getTime(),
  };
}
