import { type InferenceInput, OCR_MODEL } from '@warmwind/shared/contract/inference';
import type { ChatRequest } from '@warmwind/shared/contract/openai';
import { NoAnswerError } from './errors.ts';

const MAX_SEED = 2 ** 31;

/**
 * Turns a chat request into the input of an inference job. Without a seed one is drawn here, so that an
 * attempt that starts again generates the same text.
 * @throws NoAnswerError for a model that reads images
 */
export function inferenceInput(request: ChatRequest): InferenceInput {
  const { model, messages, temperature, seed, stop, top_p: topP } = request;
  const maxTokens = request.max_completion_tokens ?? request.max_tokens;
  if (model === OCR_MODEL) {
    throw new NoAnswerError(404, `${model} reads images: see POST /inference.`, 'model_not_found', 'model');
  }
  return {
    model,
    messages,
    seed: Math.abs(seed ?? Math.floor(Math.random() * MAX_SEED)) % MAX_SEED,
    ...(maxTokens == null ? {} : { maxTokens }),
    ...(temperature == null ? {} : { temperature }),
    ...(topP == null ? {} : { topP }),
    ...(stop?.length ? { stop } : {}),
  };
}
