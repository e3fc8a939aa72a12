import { z } from 'zod';

/** The message of every issue about something that is not honoured. */
export const UNSUPPORTED = 'is not supported here: leave it out';

const NEUTRAL = 'Accepted only where it changes nothing.';
const LABEL = 'A label; it changes nothing.';

const only = (...values: (string | number | boolean)[]) =>
  z.literal(values, UNSUPPORTED).nullish().describe(NEUTRAL);
const empty = z.array(z.unknown()).max(0, UNSUPPORTED).nullish().describe(NEUTRAL);
const never = z.null(UNSUPPORTED).optional().describe(NEUTRAL);

/**
 * OpenAI's parameters that are not honoured, each with the values that change nothing. Any other value is
 * refused, as the answer would not match the request.
 */
export const NEUTRAL_PARAMETERS = {
  n: only(1),
  tools: empty,
  tool_choice: only('none'),
  parallel_tool_calls: only(true),
  functions: empty,
  function_call: only('none'),
  response_format: z
    .strictObject({ type: z.literal('text', UNSUPPORTED).describe('Always `text`.') })
    .nullish()
    .describe(NEUTRAL),
  logprobs: only(false),
  top_logprobs: only(0),
  logit_bias: z
    .record(z.string(), z.unknown())
    .refine((bias) => Object.keys(bias).length === 0, UNSUPPORTED)
    .nullish()
    .describe(NEUTRAL),
  frequency_penalty: only(0),
  presence_penalty: only(0),
  repetition_penalty: only(1),
  modalities: z.array(z.literal('text', UNSUPPORTED)).nullish().describe(NEUTRAL),
  audio: never,
  prediction: never,
  web_search_options: never,
  reasoning_effort: never,
  verbosity: only('medium'),
  service_tier: only('auto', 'default'),
  store: only(false),
};

const Label = z.string().max(512).nullish().describe(LABEL);

/** OpenAI's parameters that label a request and do not change its answer. */
export const LABELS = {
  user: Label,
  safety_identifier: Label,
  prompt_cache_key: Label,
  prompt_cache_retention: Label,
  metadata: z
    .record(z.string().max(64), z.string().max(512))
    .refine((labels) => Object.keys(labels).length <= 16, 'at most 16 pairs')
    .nullish()
    .describe(LABEL),
};

/** The fields of a message that clients echo from an answer, empty as answers have them. */
export const NEUTRAL_MESSAGE_FIELDS = {
  name: never,
  refusal: never,
  audio: never,
  function_call: never,
  tool_calls: empty,
  annotations: empty,
};
