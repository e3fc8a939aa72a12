import { isId, isUserId } from '@warmwind/shared/contract/ids';
import { JOB_KINDS } from '@warmwind/shared/contract/jobs';
import { JOB_DATA_VERSION, type JobData } from '@warmwind/shared/engine/queues';
import { MAX_JOB_CONTAINERS } from '@warmwind/shared/engine/records';
import { z } from 'zod';

const Id = z.string().refine(isId);
const Data = z.object({
  version: z.number().int().min(1).max(JOB_DATA_VERSION),
  kind: z.enum(JOB_KINDS),
  userId: z.string().refine(isUserId),
  jobId: Id,
  run: z.number().int().min(1),
  containerId: z.union([Id, z.literal('')]),
  containerIds: z.array(Id).max(MAX_JOB_CONTAINERS).optional(),
  requestId: z.string().max(200),
});

/** The same, of any kind and version. */
const AnyData = Data.extend({ kind: z.string().max(64), version: z.number().int().min(1) });

/**
 * Parses the data of a BullMQ job.
 * @returns `newer` when a later version wrote it or knows its kind, `invalid` when it is malformed
 */
export function parseJobData(value: unknown): JobData | 'newer' | 'invalid' {
  const parsed = Data.safeParse(value);
  if (parsed.success) return parsed.data;
  const { version } = (value ?? {}) as { version?: unknown };
  const newer = typeof version === 'number' && version > JOB_DATA_VERSION;
  return newer || AnyData.safeParse(value).success ? 'newer' : 'invalid';
}

/** Parses the data of a job of any kind. @returns `undefined` when it is malformed */
export function readAnyJobData(value: unknown): JobData | undefined {
  const parsed = AnyData.safeParse(value);
  return parsed.success ? (parsed.data as JobData) : undefined;
}

/** Parses the same from JSON text. */
export function readJobData(text: string | null): JobData | undefined {
  try {
    return readAnyJobData(JSON.parse(text ?? 'null'));
  } catch {
    return undefined;
  }
}
