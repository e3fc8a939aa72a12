import { bullJobId, JOB_OPTIONS, type JobData } from '@warmwind/shared/queues';
import type { Queue } from 'bullmq';

/**
 * Puts a run into a queue, as the edge does: nothing happens while it waits or runs there. A finished delivery of it, kept
 * by BullMQ, would make BullMQ ignore this one and is removed first.
 */
export async function enqueue(queue: Queue, data: JobData): Promise<void> {
  const jobId = bullJobId(data.jobId, data.run);
  await queue.remove(jobId).catch(() => undefined);
  await queue.add(data.kind, data, { ...JOB_OPTIONS, jobId });
}
