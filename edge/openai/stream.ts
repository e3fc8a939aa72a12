import {
  type CompletionHead,
  completionChunk,
  STREAM_DONE,
  usageChunk,
  usageOf,
} from '@warmwind/shared/contract/openai';
import type { Context } from 'hono';
import { streamSSE } from 'hono/streaming';
import type { AppEnv } from '../env.ts';
import type { Step } from './answer.ts';
import { NoAnswerError, noAnswer } from './errors.ts';
import { BEAT_MS, type Waiting } from './waiting.ts';

/** How long an answer may stream, ms. */
const STREAM_WITHIN_MS = 3_600_000;

/**
 * Streams the answer in chunks. An error after the first chunk, or after `STATUS_WITHIN_MS`, is a frame that
 * ends the stream.
 */
export async function streamed(
  c: Context<AppEnv>,
  steps: AsyncGenerator<Step>,
  { head, usage, waiting }: { head: CompletionHead; usage: boolean; waiting: Waiting },
): Promise<Response> {
  const first = steps.next();
  await waiting.soon(first);
  // Proxies in front must not buffer it.
  c.header('X-Accel-Buffering', 'no');
  return streamSSE(c, async (stream) => {
    stream.onAbort(() => waiting.leave());
    const beat = setInterval(() => void stream.write(': still here\n\n'), BEAT_MS);
    const timeoutError = new NoAnswerError(504, 'The answer took too long.', 'timeout');
    const timer = setTimeout(() => waiting.leave(timeoutError), STREAM_WITHIN_MS);
    const send = (data: object) => stream.writeSSE({ data: JSON.stringify(data) });
    try {
      await send(completionChunk(head, { role: 'assistant', content: '' }));
      for (let step = await first; !step.done; step = await steps.next()) {
        const { text, result } = step.value;
        if (text) await send(completionChunk(head, { content: text }));
        if (!result) continue;
        await send(completionChunk(head, {}, result.finishReason));
        const { inputTokens, outputTokens } = result.usage;
        if (usage) await send(usageChunk(head, usageOf(inputTokens, outputTokens)));
        await stream.writeSSE({ data: STREAM_DONE });
      }
    } catch (error) {
      await send(noAnswer(error).body);
    } finally {
      clearInterval(beat);
      clearTimeout(timer);
      waiting.end();
    }
  });
}
