import { z } from 'zod';

/** A message of a fork to its worker. The worker sends a job as `{ input }`, one at a time. */
export const ChildMessage = z.discriminatedUnion('type', [
  /** It takes a job now. */
  z.object({ type: z.literal('ready') }),
  z.object({ type: z.literal('progress'), percent: z.number().min(0).max(100) }),
  z.object({ type: z.literal('result'), result: z.unknown() }),
  /** `code` is one of `runtime/failures.ts` when the fork knows the reason; `message` is for logs. */
  z.object({ type: z.literal('failure'), code: z.string().optional(), message: z.string() }),
]);
export type ChildMessage = z.infer<typeof ChildMessage>;
