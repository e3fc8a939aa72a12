import { z } from '@hono/zod-openapi';
import { isTerminal, JOB_KINDS, JOB_STATES, type Job, jobFromRecord } from '@warmwind/shared/contract/jobs';
import { keys } from '@warmwind/shared/engine/keys';
import { listJobs } from '@warmwind/shared/engine/ledger/reads';
import { jobOf } from '@warmwind/shared/engine/ledger/rows';
import type { Services } from '../services.ts';
import { Lister } from './list.ts';

/** The filters of the list by fields. */
export const JobFilters = { state: z.enum(JOB_STATES).optional(), kind: z.enum(JOB_KINDS).optional() };
type Filters = z.output<z.ZodObject<typeof JobFilters>>;

/** Lists the jobs of the caller. */
export const jobLister = (services: Services) =>
  new Lister<Job, Filters>(services, {
    index: keys.jobs,
    key: keys.job,
    fromRecord: jobFromRecord,
    fromLedger: async (db, page, { fields, labels }) => (await listJobs(db, page, fields, labels)).map(jobOf),
    hasEnded: ({ state }) => isTerminal(state),
    outdates: (row, record) => isTerminal(row.state) && !isTerminal(record.state) && row.run >= record.run,
  });
