import { hasEnded } from '@warmwind/shared/containers';
import { isTerminal } from '@warmwind/shared/jobs';
import type { Db } from '@warmwind/shared/ledger/db';
import { readContainer, readJob } from '@warmwind/shared/ledger/reads';
import { restoreContainer, restoreJob } from '@warmwind/shared/ledger/restore';
import type { ContainerRow, JobRow } from '@warmwind/shared/ledger/rows';
import type { Earlier } from '@warmwind/shared/ledger/submissions';
import type { Services } from '../services.ts';
import { refusal } from './refusal.ts';
import type { AcceptedJob, Submission } from './submission.ts';

/** What an idempotency key stands for, though Redis has forgotten it: the job and its desktop as the ledger has them. */
export type EarlierJob = Earlier & { job: JobRow | undefined; container: ContainerRow | undefined };

export async function readEarlier(db: Db, userId: string, earlier: Earlier): Promise<EarlierJob> {
  const [job, container] = await Promise.all([
    readJob(db, userId, earlier.jobId),
    readContainer(db, userId, earlier.containerId),
  ]);
  return { ...earlier, job, container };
}

/** Answers with the job that the key stands for, which goes back into Redis if it has not ended. */
export async function answerEarlier(
  { submissions }: Services,
  { userId, idempotency, action }: Submission,
  { job, container, ...earlier }: EarlierJob,
): Promise<AcceptedJob> {
  if (earlier.requestHash !== idempotency?.requestHash) throw refusal({ verdict: 'mismatch' }, action);
  if (job && !isTerminal(job.state)) {
    const now = Date.now();
    await Promise.all([
      submissions.restore(restoreJob(job, now)),
      ...(container && !hasEnded(container.state)
        ? [submissions.restore(restoreContainer(container, now))]
        : []),
    ]);
    const { id: jobId, kind, run, containerId, requestId, queue, priority } = job;
    await submissions.enqueue({ queue, kind, userId, jobId, run, containerId, requestId, priority });
  }
  await submissions.remember(userId, idempotency, earlier);
  return {
    verdict: 'replayed',
    jobId: earlier.jobId,
    containerId: earlier.containerId,
    queue: job?.queue ?? '',
    state: job?.state ?? 'completed',
    run: job?.run ?? 1,
    priority: job?.priority ?? 0,
    createdAt: earlier.createdAt.getTime(),
  };
}
