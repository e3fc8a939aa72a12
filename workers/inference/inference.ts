import { InferenceInput, OCR_MODEL } from '@warmwind/shared/inference';
import type { Records } from '@warmwind/shared/node/records';
import { JobFailure } from '../jobs/errors.ts';
import type { Handler, JobContext } from '../jobs/runtime.ts';

/** Answers one request with a model. */
export type InferenceHandler = (job: JobContext, input: InferenceInput) => Promise<unknown>;

/** Gives each request to what serves its model. */
export function createInference(
  records: Records,
  models: { reading: InferenceHandler; generation: InferenceHandler },
): Handler {
  return async (job) => {
    const input = readInput(await records.jobs.input(job.data));
    const answer = input.model === OCR_MODEL ? models.reading : models.generation;
    return answer(job, input);
  };
}

function readInput(text: string | undefined): InferenceInput {
  if (text === undefined) throw new JobFailure('input_missing');
  try {
    return InferenceInput.parse(JSON.parse(text));
  } catch (error) {
    throw new JobFailure('invalid_job', error);
  }
}
