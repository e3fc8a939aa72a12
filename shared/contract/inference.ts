import { z } from 'zod';
import { NewLabels } from './labels.ts';
import { WebhookUrl } from './webhook-target.ts';

/** The model that reads text from an image, in a process of its own on a worker. */
export const OCR_MODEL = 'ocr-eng';
/** The largest image of a request, bytes before base64. */
export const MAX_IMAGE_BYTES = 2 ** 20;

/** The largest picture that is read, pixels: in all, and of a side (the reader counts in 16 bits). */
export const MAX_IMAGE_PIXELS = 16_000_000;
export const MAX_IMAGE_SIDE = 32_767;

/** The longest time-out of an attempt, ms. For a reading it is the default too. */
export const MAX_READING_MS = 120_000;
export const MAX_GENERATION_MS = 900_000;

/** A model's name. */
export const ModelName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$/, 'use the name of a model');
export const MAX_MESSAGES = 256;
export const MAX_MESSAGE_CHARS = 200_000;

const Message = z
  .strictObject({
    role: z.enum(['system', 'user', 'assistant']).describe('The speaker.'),
    content: z.string().max(MAX_MESSAGE_CHARS).describe('The text.'),
  })
  .meta({ id: 'Message' });

/** Parameters of language models; a reading does not use them. */
const GENERATION_ONLY = ['maxTokens', 'temperature', 'seed', 'topP', 'stop'] as const;

/**
 * The body of `POST /inference`: a prompt or messages for a language model; for `ocr-eng` an image (base64),
 * or the desktop whose screen is read. `timeoutMs` is per attempt, and has a ceiling by kind of model.
 */
export const InferenceRequest = z
  .strictObject({
    model: ModelName.describe('Name of a model of GET /models.'),
    prompt: z
      .string()
      .min(1)
      .max(MAX_MESSAGE_CHARS)
      .optional()
      .describe('One message of the user; or give messages.'),
    messages: z.array(Message).min(1).max(MAX_MESSAGES).optional().describe('The conversation.'),
    image: z
      .base64('use base64')
      .max(Math.ceil(MAX_IMAGE_BYTES / 3) * 4, 'at most 1 MB before base64')
      .optional()
      .describe('The image that is read, in base64, for ocr-eng.'),
    containerId: z
      .string()
      .min(1)
      .max(64)
      .optional()
      .describe('The container whose screen is read, for ocr-eng.'),
    maxTokens: z.number().int().min(1).max(131_072).optional().describe('Tokens of the answer at most.'),
    temperature: z.number().min(0).max(2).optional().describe('Randomness of the answer.'),
    seed: z
      .number()
      .int()
      .min(0)
      .max(2 ** 31 - 1)
      .optional()
      .describe('The same seed gives the same answer, where the server honours it.'),
    topP: z.number().gt(0).max(1).optional().describe('Share of the probability that is sampled.'),
    stop: z.array(z.string().min(1).max(256)).max(4).optional().describe('Texts at which the answer ends.'),
    timeoutMs: z
      .number()
      .int()
      .min(1000)
      .max(MAX_GENERATION_MS, `at most ${MAX_GENERATION_MS} ms for an attempt`)
      .optional()
      .describe(
        `Of an attempt, ms. At most ${MAX_READING_MS} for ${OCR_MODEL}, ${MAX_GENERATION_MS} for others.`,
      ),
    labels: NewLabels.optional(),
    webhookUrl: WebhookUrl.optional().describe('Address that is called when the run begins and ends.'),
  })
  .superRefine((request, context) => {
    const given = (['prompt', 'messages', 'image', 'containerId'] as const).filter(
      (name) => request[name] !== undefined,
    );
    if (request.model === OCR_MODEL) {
      if (request.timeoutMs !== undefined && request.timeoutMs > MAX_READING_MS) {
        const message = `at most ${MAX_READING_MS} ms for ${OCR_MODEL}`;
        context.addIssue({ code: 'custom', path: ['timeoutMs'], message });
      }
      if (given.length !== 1 || (given[0] !== 'image' && given[0] !== 'containerId')) {
        context.addIssue({
          code: 'custom',
          path: ['image'],
          message: `${OCR_MODEL} takes either image or containerId, and nothing else`,
        });
      }
      for (const name of GENERATION_ONLY) {
        if (request[name] === undefined) continue;
        context.addIssue({
          code: 'custom',
          path: [name],
          message: `${OCR_MODEL} does not use this: leave it out`,
        });
      }
    } else if (given.length !== 1 || given[0] === 'image' || given[0] === 'containerId') {
      context.addIssue({ code: 'custom', path: ['prompt'], message: 'give either prompt or messages' });
    }
  })
  .meta({ id: 'InferenceRequest' });
export type InferenceRequest = z.infer<typeof InferenceRequest>;

/** The fields that a worker reads, as JSON under `keys.input`. */
export const InferenceInput = z.object({
  model: z.string(),
  prompt: z.string().optional(),
  messages: z.array(Message).optional(),
  image: z.string().optional(),
  containerId: z.string().optional(),
  maxTokens: z.number().optional(),
  temperature: z.number().optional(),
  seed: z.number().optional(),
  topP: z.number().optional(),
  stop: z.array(z.string()).optional(),
});
export type InferenceInput = z.infer<typeof InferenceInput>;

/**
 * The answer of a language model. Times in ms: from being queued to the start of the attempt that answered,
 * from there to the first token, and to the end. `usage` is 0 where the server does not report it.
 */
export const GenerationResult = z
  .object({
    model: z.string().describe('Name of the model.'),
    text: z.string().describe('The answer.'),
    finishReason: z.string().describe('Why it ended: `stop`, `length`.'),
    usage: z
      .object({ inputTokens: z.number().int(), outputTokens: z.number().int() })
      .describe('Tokens, 0 where the server does not report them.'),
    queueMs: z.number().describe('From the submission to the start of the attempt, ms.'),
    firstTokenMs: z.number().describe('From there to the first token, ms.'),
    runMs: z.number().describe('From there to the end, ms.'),
  })
  .meta({ id: 'GenerationResult' });
export type GenerationResult = z.infer<typeof GenerationResult>;

/**
 * The text on an image: by lines, and its words with their boxes in pixels. `confidence` is 0-100. Times as
 * in {@link GenerationResult}.
 */
export const ReadingResult = z
  .object({
    model: z.string().describe('Name of the model.'),
    text: z.string().describe('The text, by lines.'),
    width: z.number().int().describe('Width of the image, pixels.'),
    height: z.number().int().describe('Height of the image, pixels.'),
    boxes: z
      .array(
        z.object({
          text: z.string(),
          confidence: z.number(),
          x: z.number(),
          y: z.number(),
          width: z.number(),
          height: z.number(),
        }),
      )
      .describe('The words with their boxes, pixels; `confidence` is 0-100.'),
    queueMs: z.number().describe('From the submission to the start of the attempt, ms.'),
    runMs: z.number().describe('From there to the end, ms.'),
  })
  .meta({ id: 'ReadingResult' });
export type ReadingResult = z.infer<typeof ReadingResult>;
