import { hasEnded } from '@warmwind/shared/containers';
import { jobCommand } from '@warmwind/shared/contract/registry';
import type { Db } from '@warmwind/shared/ledger/db';
import { readContainers, readInput, readJob } from '@warmwind/shared/ledger/reads';
import { restoreContainer, restoreJob } from '@warmwind/shared/ledger/restore';
import type { ContainerRow, JobRow } from '@warmwind/shared/ledger/rows';
import { readKey } from '@warmwind/shared/ledger/submissions';
import { containerIdsOf } from '@warmwind/shared/refs';
import type { Context } from 'hono';
import type { AppEnv } from '../env.ts';
import type { Services } from '../services.ts';
import { acknowledge } from './commit.ts';
import { refusal } from './refusal.ts';
import { answerEarlier, readEarlier } from './replay.ts';
import { type AcceptedJob, isAccepted, type RefusedVerdict, type Submission } from './submission.ts';

/**
 * Redis refuses, perhaps only because it has forgotten what the ledger knows: the key's job, the container that a job is
 * about, the job to retry. That goes back into Redis, and the script decides once more, without charging again.
 */
export async function reconsider(
  c: Context<AppEnv>,
  services: Services,
  submission: Submission,
  verdict: RefusedVerdict,
): Promise<AcceptedJob> {
  const { config, ledger, submissions } = services;
  const { userId, idempotency } = submission;
  const refused = refusal(verdict, submission);
  const final = verdict.verdict === 'denied' || verdict.verdict === 'mismatch';
  const forgotten = verdict.verdict === 'not_found' || verdict.verdict === 'forgotten';
  if (!ledger || final || !(forgotten || idempotency)) throw refused;

  const { earlier, known } = await ledger.run(
    c,
    async (db) => {
      const key = idempotency && (await readKey(db, userId, idempotency.keyHash, new Date()));
      if (key) return { earlier: await readEarlier(db, userId, key) };
      return forgotten ? { known: await readKnown(db, submission) } : {};
    },
    config.SUBMIT_TIMEOUT_MS,
  );
  if (earlier) return answerEarlier(services, submission, earlier);
  if (!known) throw refused;

  const { job, containers, input } = known;
  const ended = containers.find(({ state }) => hasEnded(state));
  if (submission.action === 'new' && ended)
    throw refusal({ verdict: 'ended', state: ended.state }, submission);
  const now = Date.now();
  await Promise.all([
    job && submissions.restore(restoreJob(job, now)),
    ...containers.map((container) => submissions.restore(restoreContainer(container, now))),
    job && input !== undefined && submissions.restoreInput(userId, job.id, input),
  ]);
  const { verdict: second } = await submissions.decide({ ...submission, scopes: [] });
  if (!isAccepted(second)) throw refusal(second, submission);
  return acknowledge(c, services, submission, second);
}

/** What the script needs to know of what there was before. */
type Known = { job?: JobRow; containers: ContainerRow[]; input?: string | undefined };

async function readKnown(db: Db, submission: Submission): Promise<Known | undefined> {
  const { userId } = submission;
  if (submission.action === 'new') {
    const containers = await readContainers(db, userId, [submission.containerId]);
    return containers.length > 0 ? { containers } : undefined;
  }
  const job = await readJob(db, userId, submission.jobId);
  if (!job) return undefined;
  const { container, keepsInput } = jobCommand(job.kind);
  const needed = container === 'creates' || container === 'path';
  const [containers, input] = await Promise.all([
    needed ? readContainers(db, userId, containerIdsOf(job)) : [],
    keepsInput ? readInput(db, userId, job.id) : undefined,
  ]);
  return { job, containers, input };
}
