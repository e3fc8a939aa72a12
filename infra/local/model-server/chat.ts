import { randomUUID } from 'node:crypto';
import {
  ChatRequest,
  type CompletionHead,
  chatRequestIssue,
  completion,
  completionChunk,
  openAiError,
  STREAM_DONE,
  usageChunk,
  usageOf,
} from '@warmwind/shared/contract/openai';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import type { Context } from 'hono';
import { streamSSE } from 'hono/streaming';
import type { LlamaContextSequence, Token } from 'node-llama-cpp';
import type { Counter } from 'prom-client';
import { generate } from './generate.ts';
import type { Loaded } from './loaded.ts';
import type { Model } from './model.ts';
import { ModelBusyError, type Pool } from './pool.ts';
import { RequestRefusedError, refuse, refuseForNow } from './refusal.ts';

export type ChatRoute = {
  /**
   * The model in memory.
   * @throws RequestRefusedError while there is none
   */
  use: () => Loaded;
  unknownModel: (served: string) => RequestRefusedError;
  metrics: { promptTokens: Counter; predictedTokens: Counter };
  over: AbortSignal;
  log: Logger;
};

/** As llama.cpp's own server has it. */
const TEMPERATURE = 0.8;
/** No tokenizer needs so many characters for a token: a longer text is refused without counting. */
const MOST_CHARS_PER_TOKEN = 64;

/** `POST /v1/chat/completions`. A client that disconnects stops its answer, whether it waits or runs. */
export const chatCompletions = (route: ChatRoute) => async (c: Context) => {
  const request = await readRequest(c);
  const { model, pool } = route.use();
  if (request.model !== model.id) throw route.unknownModel(model.id);
  const prompt = promptOf(model, request);
  const left = new AbortController();
  const signal = AbortSignal.any([c.req.raw.signal, left.signal, route.over]);
  const sequence = await turn(pool, signal, request.user ?? undefined);

  const answer = async (onText: (text: string) => void) => {
    const options = optionsOf(request, model.contextSize - prompt.length);
    const onToken = () => route.metrics.predictedTokens.inc();
    try {
      route.metrics.promptTokens.inc(prompt.length);
      const end = await generate(sequence, prompt, options, { onToken, onText }, signal);
      return { finishReason: end.finishReason, usage: usageOf(prompt.length, end.tokens) };
    } finally {
      pool.give(sequence);
    }
  };

  const head: CompletionHead = {
    id: `chatcmpl-${randomUUID()}`,
    created: Math.floor(Date.now() / 1000),
    model: model.id,
  };
  if (!request.stream) {
    let text = '';
    const end = await answer((piece) => {
      text += piece;
    });
    return c.json(completion(head, { text, ...end }));
  }
  return streamSSE(c, async (stream) => {
    stream.onAbort(() => left.abort());
    // Generation does not wait for a slow reader: others would wait for their turn, and the context bounds
    // its bytes.
    let sent: Promise<void> | undefined;
    const send = (data: object | string) => {
      sent = stream.writeSSE({ data: typeof data === 'string' ? data : JSON.stringify(data) });
    };
    send(completionChunk(head, { role: 'assistant', content: '' }));
    try {
      const { finishReason, usage } = await answer((text) => send(completionChunk(head, { content: text })));
      send(completionChunk(head, {}, finishReason));
      if (request.stream_options?.include_usage) send(usageChunk(head, usage));
      send(STREAM_DONE);
    } catch (error) {
      if (c.req.raw.signal.aborted || left.signal.aborted) return;
      if (!route.over.aborted) route.log.error({ err: error }, 'generation failed');
      send(openAiError(503, 'The server stopped the answer. Retry.', 'unavailable'));
    }
    await sent;
  });
};

async function readRequest(c: Context): Promise<ChatRequest> {
  const body: unknown = await c.req.json().catch((error: unknown) => {
    if (error instanceof RequestRefusedError) throw error;
    throw refuse(400, 'The body is not JSON.', 'invalid_json');
  });
  const { success, data, error } = ChatRequest.safeParse(body);
  if (!success) {
    throw new RequestRefusedError(400, chatRequestIssue(error.issues[0]));
  }
  return data;
}

/** Tokenizes the prompt. A prompt that leaves no room for an answer is refused. */
function promptOf(model: Model, { messages }: ChatRequest): Token[] {
  const { contextSize } = model;
  const chars = messages.reduce((sum, { content }) => sum + content.length, 0);
  if (chars > contextSize * MOST_CHARS_PER_TOKEN) throw tooLong(contextSize, `${chars} characters`);
  let prompt: Token[];
  try {
    prompt = model.prompt(messages);
  } catch {
    // A template may refuse messages, such as two of the user in a row.
    throw refuse(
      400,
      'The chat template of this model does not take these messages.',
      'invalid_value',
      'messages',
    );
  }
  if (prompt.length >= contextSize) throw tooLong(contextSize, `${prompt.length} tokens`);
  return prompt;
}

const tooLong = (contextSize: number, length: string): RequestRefusedError =>
  refuse(
    400,
    `This model's maximum context length is ${contextSize} tokens, and your messages have ${length}: send less.`,
    'context_length_exceeded',
    'messages',
  );

async function turn(
  pool: Pool<LlamaContextSequence>,
  signal: AbortSignal,
  user: string | undefined,
): Promise<LlamaContextSequence> {
  try {
    return await pool.take(signal, user);
  } catch (error) {
    if (error instanceof ModelBusyError)
      throw refuseForNow(429, `The server is busy: ${error.message}. Retry soon.`, 'rate_limit_exceeded');
    if (signal.aborted)
      throw refuseForNow(503, 'The server is shutting down. Use another one.', 'unavailable');
    throw error;
  }
}

const optionsOf = (request: ChatRequest, room: number) => ({
  maxTokens: Math.min(request.max_completion_tokens ?? request.max_tokens ?? room, room),
  temperature: request.temperature ?? TEMPERATURE,
  topP: request.top_p ?? undefined,
  seed: request.seed ?? undefined,
  stop: request.stop ?? [],
});
