import { z } from 'zod';
import { defineJob } from '../command.ts';
import { GenerationResult, InferenceRequest, OCR_MODEL, ReadingResult } from '../inference.ts';
import { ContainerArgument } from '../tool.ts';

/** Asks a language model, or reads the text on an image or on the screen of a container. */
export const inference = defineJob({
  kind: 'inference',
  http: {
    method: 'post',
    path: '/inference',
    operationId: 'infer',
    summary: 'Ask a model',
    body: 'A prompt or messages for a language model; for `ocr-eng` an image (base64), or the desktop to read.',
  },
  lane: ({ model }) => (model === OCR_MODEL ? 'readings' : 'models'),
  input: InferenceRequest,
  result: z.union([GenerationResult, ReadingResult]),
  example: { model: 'desk-tiny', prompt: 'Hello' },
  container: 'input',
  requires: ['running'],
  large: true,
  keepsInput: true,
  counts: true,
  cancellable: true,
  retryable: true,
  onHostLost: 'fails',
  limits: ['user'],
  tool: {
    name: 'read_text',
    title: 'Read the text on a desktop',
    description:
      "Reads the text on a desktop's screen. `boxes` has each word with its place in pixels of the screen, " +
      'so that the middle of a box is where to click.',
    input: z.strictObject({ containerId: ContainerArgument }),
    fixed: { model: OCR_MODEL },
    hints: { readOnly: true, idempotent: true },
    waitMs: 50_000,
  },
});
