import { inference } from '@warmwind/shared/contract/commands/inference';
import { InferenceInput } from '@warmwind/shared/contract/inference';
import type { Records } from '@warmwind/shared/engine/node/records';
import { LANES, type QueueName } from '@warmwind/shared/engine/queues';
import type { Queue } from 'bullmq';
import type { Handler, JobContext } from '../runtime/delivery.ts';
import { enqueue } from '../runtime/enqueue.ts';
import { JobFailureError } from '../runtime/failures.ts';
import { ForwardedError } from '../runtime/outcome.ts';

/** Answers one request with a model. */
export type InferenceHandler<Result> = (job: JobContext, input: InferenceInput) => Promise<Result>;

export type InferenceOptions<Result> = {
  records: Records;
  /** The queue that the handler serves. */
  name: QueueName;
  /** A queue by its name. */
  queue: (name: string) => Queue;
  answer: InferenceHandler<Result>;
};

/** Creates the handler of one inference queue. A job that belongs to another queue is moved there. */
export function createInference<Result>({
  records,
  name,
  queue,
  answer,
}: InferenceOptions<Result>): Handler<Result> {
  return async (job) => {
    const input = readInput(await records.jobs.input(job.data));
    const proper = LANES[inference.lane(input)].queue;
    if (proper === name) return answer(job, input);
    const priority = await records.jobs.priority(job.data);
    await records.jobs.requeue(job.data, undefined, proper);
    await enqueue(queue(proper), job.data, priority);
    throw new ForwardedError();
  };
}

function readInput(text: string | undefined): InferenceInput {
  if (text === undefined) throw new JobFailureError('input_missing');
  try {
    return InferenceInput.parse(JSON.parse(text));
  } catch (error) {
    throw new JobFailureError('invalid_job', error);
  }
}
