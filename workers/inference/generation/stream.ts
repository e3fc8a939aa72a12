import { createHash } from 'node:crypto';
import type { InferenceInput } from '@warmwind/shared/contract/inference';
import { JobFailureError } from '../../runtime/failures.ts';
import { modelFailure } from './failures.ts';
import type { ModelServer } from './server.ts';

/** The longest answer, characters. */
const MAX_TEXT = 2 ** 20;

/** `firstTokenAt`: ms since 1970. */
export type GenerationAnswer = {
  text: string;
  finishReason: string;
  usage: { inputTokens: number; outputTokens: number };
  firstTokenAt: number;
};

/**
 * Sends a request to a server and reads its answer as it arrives. A broken stream ends without an error, so
 * only an answer with a finish reason is complete.
 * @param idleMs time for which the server may send nothing
 * @throws JobFailureError, ServerBusyError, or the reason of `signal`
 */
export async function streamAnswer(
  server: ModelServer,
  { input, userId }: { input: InferenceInput; userId: string },
  signal: AbortSignal,
  idleMs: number,
  onText: (text: string) => void,
): Promise<GenerationAnswer> {
  const idle = new AbortController();
  const timer = setTimeout(() => idle.abort(), idleMs);
  const answer: GenerationAnswer = {
    text: '',
    finishReason: '',
    usage: { inputTokens: 0, outputTokens: 0 },
    firstTokenAt: 0,
  };
  try {
    const chunks = await server.client.chat.completions.create(
      { ...request(input), user: pseudonym(userId) },
      {
        signal: AbortSignal.any([signal, idle.signal]),
      },
    );
    for await (const { choices, usage } of chunks) {
      timer.refresh();
      const choice = choices?.[0];
      const text = choice?.delta?.content;
      if (typeof text === 'string' && text) {
        answer.firstTokenAt ||= Date.now();
        answer.text += text;
        if (answer.text.length > MAX_TEXT) throw new JobFailureError('answer_too_long');
        onText(text);
      }
      if (typeof choice?.finish_reason === 'string') answer.finishReason = choice.finish_reason;
      if (usage) {
        answer.usage = {
          inputTokens: count(usage.prompt_tokens),
          outputTokens: count(usage.completion_tokens),
        };
      }
    }
  } catch (error) {
    if (!signal.aborted && !idle.signal.aborted) {
      throw error instanceof JobFailureError ? error : modelFailure(error);
    }
  } finally {
    clearTimeout(timer);
  }
  signal.throwIfAborted();
  if (!answer.finishReason)
    throw new JobFailureError(idle.signal.aborted ? 'stream_idle' : 'stream_truncated');
  return { ...answer, text: answer.text.toWellFormed() };
}

/** Servers share their slots between users, and need no real user id for that. */
const pseudonym = (userId: string): string =>
  createHash('sha256').update(`warmwind ${userId}`).digest('hex').slice(0, 32);

/** Makes the request. A prompt becomes one message of a user. Every server knows the name `max_tokens`. */
function request({ model, prompt, messages, maxTokens, temperature, seed, topP, stop }: InferenceInput) {
  if (prompt === undefined && messages === undefined) throw new JobFailureError('input_missing');
  return {
    model,
    messages: messages ?? [{ role: 'user' as const, content: prompt ?? '' }],
    stream: true as const,
    stream_options: { include_usage: true },
    ...(maxTokens === undefined ? {} : { max_tokens: maxTokens }),
    ...(temperature === undefined ? {} : { temperature }),
    ...(seed === undefined ? {} : { seed }),
    ...(topP === undefined ? {} : { top_p: topP }),
    ...(stop === undefined ? {} : { stop }),
  };
}

const count = (tokens: unknown): number =>
  typeof tokens === 'number' && Number.isSafeInteger(tokens) && tokens > 0 ? tokens : 0;
