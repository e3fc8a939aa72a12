import { hasEnded } from '@warmwind/shared/containers';
import { readContainer } from '@warmwind/shared/ledger/reads';
import { restoreContainer } from '@warmwind/shared/ledger/restore';
import { readKey } from '@warmwind/shared/ledger/submissions';
import type { Context } from 'hono';
import type { AppEnv } from '../env.ts';
import type { Services } from '../services.ts';
import { acknowledge } from './acknowledge.ts';
import { answerEarlier, readEarlier } from './earlier.ts';
import { refusal } from './refusal.ts';
import { type AcceptedJob, isAccepted, type RefusedVerdict, type Submission } from './submission.ts';

/**
 * Redis refuses, perhaps only because it has forgotten what the ledger knows: the key's job, or the desktop to stop. A
 * desktop that has not ended goes back into Redis, and the script decides once more, without charging again.
 */
export async function reconsider(
  c: Context<AppEnv>,
  services: Services,
  submission: Submission,
  verdict: RefusedVerdict,
): Promise<AcceptedJob> {
  const { config, ledger, submissions } = services;
  const { userId, idempotency, containerId } = submission;
  const final = verdict.verdict === 'denied' || verdict.verdict === 'mismatch';
  const lookFor = { desktop: verdict.verdict === 'not_found', key: idempotency?.keyHash };
  if (!ledger || final || !(lookFor.desktop || lookFor.key)) throw refusal(verdict);

  const { earlier, desktop } = await ledger.run(
    c,
    async (db) => {
      const known = lookFor.key && (await readKey(db, userId, lookFor.key, new Date()));
      if (known) return { earlier: await readEarlier(db, userId, known) };
      return lookFor.desktop ? { desktop: await readContainer(db, userId, containerId) } : {};
    },
    config.SUBMIT_TIMEOUT_MS,
  );
  if (earlier) return answerEarlier(services, submission, earlier);
  if (!desktop) throw refusal(verdict);
  if (hasEnded(desktop.state)) throw refusal({ verdict: 'ended', state: desktop.state });

  await submissions.restore(restoreContainer(desktop, Date.now()));
  const { verdict: second } = await submissions.decide({ ...submission, scopes: [] });
  if (!isAccepted(second)) throw refusal(second);
  return acknowledge(c, services, submission, second);
}
