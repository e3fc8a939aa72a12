import { JOB_KINDS, type JobKind } from '@warmwind/shared/contract/registry';
import type { Handler } from '../runtime/delivery.ts';

/** The same handler for every kind of job. */
export const forEveryKind = (handler: Handler): Record<JobKind, Handler> =>
  Object.fromEntries(JOB_KINDS.map((kind) => [kind, handler])) as Record<JobKind, Handler>;
