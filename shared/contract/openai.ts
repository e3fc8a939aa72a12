import { z } from 'zod';
import { MAX_MESSAGE_CHARS, MAX_MESSAGES, ModelName } from './inference.ts';
import { LABELS, NEUTRAL_MESSAGE_FIELDS, NEUTRAL_PARAMETERS, UNSUPPORTED } from './openai-neutral.ts';

/** An object whose unknown fields are refused by name. */
const strict = <T extends z.core.$ZodLooseShape>(shape: T) =>
  z.strictObject(shape, { error: ({ code }) => (code === 'unrecognized_keys' ? UNSUPPORTED : undefined) });

/** Text, as a string or in parts, as OpenAI's clients send it. */
const Content = z
  .union(
    [
      z.string().max(MAX_MESSAGE_CHARS),
      z
        .array(
          strict({
            type: z.literal('text').describe('Always `text`.'),
            text: z.string().max(MAX_MESSAGE_CHARS).describe('The text.'),
          }),
        )
        .max(64),
    ],
    'send text: a string, or parts of type text',
  )
  .transform((content) =>
    typeof content === 'string' ? content : content.map(({ text }) => text).join('\n'),
  );

const ChatMessage = strict({
  role: z
    .enum(['system', 'developer', 'user', 'assistant'], 'use system, user or assistant')
    .transform((role) => (role === 'developer' ? 'system' : role))
    .describe('The speaker; `developer` is `system`.'),
  content: Content.describe('The text, or its parts.'),
  ...NEUTRAL_MESSAGE_FIELDS,
}).transform(({ role, content }) => ({ role, content }));

const Tokens = z.number().int().min(1).max(131_072);

/** The body of `POST /v1/chat/completions`. Fields that are not honoured are refused by name. */
export const ChatRequest = strict({
  model: ModelName.describe('Name of a model of GET /v1/models.'),
  messages: z.array(ChatMessage).min(1).max(MAX_MESSAGES).describe('The conversation.'),
  max_tokens: Tokens.nullish().describe('Tokens of the answer at most.'),
  max_completion_tokens: Tokens.nullish().describe('The same under its newer name.'),
  temperature: z.number().min(0).max(2).nullish().describe('Randomness of the answer.'),
  top_p: z.number().gt(0).max(1).nullish().describe('Share of the probability that is sampled.'),
  seed: z
    .number()
    .int()
    .nullish()
    .describe('The same seed gives the same answer, where the server honours it.'),
  stop: z
    .union([z.string().min(1).max(256), z.array(z.string().min(1).max(256)).max(4)])
    .transform((stop) => (typeof stop === 'string' ? [stop] : stop))
    .nullish()
    .describe('Texts at which the answer ends.'),
  stream: z.boolean().nullish().describe('Answer with server-sent events.'),
  stream_options: strict({
    include_usage: z.boolean().nullish().describe('Send a last chunk with the usage.'),
    include_obfuscation: z.literal(false, UNSUPPORTED).nullish().describe('Not supported.'),
  })
    .nullish()
    .describe('Of a stream.'),
  ...NEUTRAL_PARAMETERS,
  ...LABELS,
}).meta({ id: 'ChatCompletionRequest' });
export type ChatRequest = z.infer<typeof ChatRequest>;
export type ChatMessage = z.infer<typeof ChatMessage>;

/** The body of every failed answer, and of a frame that ends a stream with an error. */
export type OpenAiErrorBody = {
  error: { message: string; type: string; code: string | null; param: string | null };
};

const TYPES: Record<number, string> = {
  401: 'authentication_error',
  403: 'permission_error',
  429: 'rate_limit_error',
};

/** An error in OpenAI's form; its type follows from the status. */
export const openAiError = (
  status: number,
  message: string,
  code: string | null = null,
  param: string | null = null,
): OpenAiErrorBody => ({
  error: {
    message,
    type: TYPES[status] ?? (status < 500 ? 'invalid_request_error' : 'server_error'),
    code,
    param,
  },
});

/** Converts an issue that zod found in a chat request to OpenAI's form. */
export function chatRequestIssue(issue: z.core.$ZodIssue | undefined): OpenAiErrorBody {
  if (!issue) return chatRequestError(undefined);
  const key = issue.code === 'unrecognized_keys' ? issue.keys.slice(0, 1) : [];
  return chatRequestError({ path: [...issue.path, ...key].join('.').slice(0, 200), message: issue.message });
}

/** Describes an invalid chat request in OpenAI's form. `path` has dots between its parts. */
export function chatRequestError(issue: { path: string; message: string } | undefined): OpenAiErrorBody {
  const { path = '', message = 'the request is not valid' } = issue ?? {};
  const [field = ''] = path.split('.');
  const refused = message === UNSUPPORTED || Object.hasOwn(NEUTRAL_PARAMETERS, field);
  const code = refused ? 'unsupported_parameter' : 'invalid_value';
  return openAiError(400, path ? `${path}: ${message}` : message, code, path || null);
}

/** One entry of `GET /v1/models`. `created` in epoch seconds. */
export const modelEntry = (id: string, created: number) => ({
  id,
  object: 'model' as const,
  created,
  owned_by: 'warmwind',
});

export type Usage = { prompt_tokens: number; completion_tokens: number; total_tokens: number };
export const usageOf = (prompt: number, completion: number): Usage => ({
  prompt_tokens: prompt,
  completion_tokens: completion,
  total_tokens: prompt + completion,
});

/** The fields that an answer and all its chunks share. `created` in epoch seconds. */
export type CompletionHead = { id: string; created: number; model: string };

/** A complete answer. */
export const completion = (
  { id, created, model }: CompletionHead,
  { text, finishReason, usage }: { text: string; finishReason: string; usage: Usage },
) => ({
  id,
  object: 'chat.completion',
  created,
  model,
  choices: [
    {
      index: 0,
      message: { role: 'assistant', content: text, refusal: null },
      logprobs: null,
      finish_reason: finishReason,
    },
  ],
  usage,
});

/** A chunk of a streamed answer. */
export const completionChunk = (
  { id, created, model }: CompletionHead,
  delta: { role?: 'assistant'; content?: string },
  finishReason: string | null = null,
) => ({
  id,
  object: 'chat.completion.chunk',
  created,
  model,
  choices: [{ index: 0, delta, logprobs: null, finish_reason: finishReason }],
});

/** The chunk for a client that requested `stream_options.include_usage`. */
export const usageChunk = ({ id, created, model }: CompletionHead, usage: Usage) => ({
  id,
  object: 'chat.completion.chunk',
  created,
  model,
  choices: [],
  usage,
});

/** The `data` of the frame that ends a successful stream. */
export const STREAM_DONE = '[DONE]';
