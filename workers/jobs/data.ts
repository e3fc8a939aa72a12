import { isId, isUserId } from '@warmwind/shared/ids';
import { JOB_KINDS } from '@warmwind/shared/jobs';
import { JOB_DATA_VERSION, type JobData } from '@warmwind/shared/queues';
import { z } from 'zod';

const Id = z.string().refine(isId);
const Data = z.object({
  version: z.number().int().min(1).max(JOB_DATA_VERSION),
  kind: z.enum(JOB_KINDS),
  userId: z.string().refine(isUserId),
  jobId: Id,
  run: z.number().int().min(1),
  containerId: z.union([Id, z.literal('')]),
  requestId: z.string().max(200),
});

/** What a BullMQ job carries → its data; `newer` when a later version wrote it, `invalid` when nothing can read it. */
export function parseJobData(value: unknown): JobData | 'newer' | 'invalid' {
  const version = (value as { version?: unknown } | null)?.version;
  if (typeof version === 'number' && version > JOB_DATA_VERSION) return 'newer';
  const parsed = Data.safeParse(value);
  return parsed.success ? parsed.data : 'invalid';
}

/** The same of its text; `undefined` when this version can't read it. */
export function readJobData(text: string | null): JobData | undefined {
  try {
    const data = parseJobData(JSON.parse(text ?? 'null'));
    return data === 'newer' || data === 'invalid' ? undefined : data;
  } catch {
    return undefined;
  }
}
