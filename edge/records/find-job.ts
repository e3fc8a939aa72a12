import { isId } from '@warmwind/shared/contract/ids';
import { type Job, jobFromRecord } from '@warmwind/shared/contract/jobs';
import { keys } from '@warmwind/shared/engine/keys';
import { readJob } from '@warmwind/shared/engine/ledger/reads';
import { jobOf } from '@warmwind/shared/engine/ledger/rows';
import type { Context } from 'hono';
import type { AppEnv } from '../env.ts';
import type { Services } from '../services.ts';
import { readThrough } from './read-through.ts';

/** Finds one of the caller's jobs, in the records or the ledger. */
export async function findJob(c: Context<AppEnv>, services: Services, id: string): Promise<Job | undefined> {
  if (!isId(id)) return undefined;
  const user = c.get('user').id;
  return readThrough(c, services, {
    key: keys.job(user, id),
    fromRecord: jobFromRecord,
    fromLedger: async (db) => {
      const row = await readJob(db, user, id);
      return row && jobOf(row);
    },
  });
}
