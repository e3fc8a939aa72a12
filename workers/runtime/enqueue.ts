import { type JobData, queueJobId, runOptions } from '@warmwind/shared/engine/queues';
import type { Queue } from 'bullmq';

/**
 * Adds a run to a queue, as the edge does. A run that already waits or runs there is left unchanged. BullMQ
 * keeps finished deliveries and would ignore this one, so a finished delivery of the run is removed first.
 * @param priority the priority in the record of its job
 */
export async function enqueue(queue: Queue, data: JobData, priority: number): Promise<void> {
  await queue.remove(queueJobId(data.jobId, data.run)).catch(() => undefined);
  await queue.add(data.kind, data, runOptions({ ...data, priority }));
}

/**
 * Ends the delay of a job. Never rejects.
 * @param jobId BullMQ's id
 * @returns whether the job was found delayed and now waits
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
