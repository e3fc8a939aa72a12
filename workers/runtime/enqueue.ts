import { type JobData, queueJobId, runOptions } from '@warmwind/shared/engine/queues';
import type { Queue } from 'bullmq';

/**
 * Puts a run into a queue, as the edge does: nothing happens while it waits or runs there. A finished delivery of it, kept
 * by BullMQ, would make BullMQ ignore this one and is removed first.
 * @param priority as its record has it
 */
export async function enqueue(queue: Queue, data: JobData, priority: number): Promise<void> {
  await queue.remove(queueJobId(data.jobId, data.run)).catch(() => undefined);
  await queue.add(data.kind, data, runOptions({ ...data, priority }));
}

/**
 * Ends the delay of a job. Never rejects.
 * @param jobId BullMQ's id
 * @returns whether the job was delayed, and is not any more
 */
export async function promote(queue: Queue, jobId: string): Promise<boolean> {
  try {
    const job = await queue.getJob(jobId);
    await job?.promote();
    return job !== undefined;
  } catch {
    return false;
  }
}
