import { z } from 'zod';

/** What a fork says to its worker, one job at a time; it is told a job's input as `{ input }`. */
export const ChildMessage = z.discriminatedUnion('type', [
  /** It may be given a job. */
  z.object({ type: z.literal('ready') }),
  z.object({ type: z.literal('progress'), percent: z.number().min(0).max(100) }),
  z.object({ type: z.literal('result'), result: z.unknown() }),
  /** `code` is one of `runtime/failures.ts` when the fork knows why; `message` is for logs. */
  z.object({ type: z.literal('failure'), code: z.string().optional(), message: z.string() }),
]);
export type ChildMessage = z.infer<typeof ChildMessage>;
