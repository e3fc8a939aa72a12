import { type CompletionHead, completion, usageOf } from '@warmwind/shared/contract/openai';
import { ATTEMPT_TIMEOUT_MS } from '@warmwind/shared/engine/queues';
import type { Context } from 'hono';
import type { AppEnv } from '../env.ts';
import type { Result, Step } from './answer.ts';
import { NoAnswerError, noAnswer } from './errors.ts';
import { BEAT_MS, type Waiting } from './waiting.ts';

/** The longest wait for a complete answer, ms. */
const COMPLETE_WITHIN_MS = ATTEMPT_TIMEOUT_MS;

/**
 * Answers in one piece. A slow answer begins with spaces, which JSON parsers ignore; when it fails after
 * that, the client receives the error and its connection is aborted.
 */
export async function bufferedCompletion(
  c: Context<AppEnv>,
  steps: AsyncGenerator<Step>,
  { head, waiting }: { head: CompletionHead; waiting: Waiting },
): Promise<Response> {
  const timeoutError = new NoAnswerError(504, 'The answer took too long: request a stream.', 'timeout');
  const timer = setTimeout(() => waiting.leave(timeoutError), COMPLETE_WITHIN_MS);
  const answer = resultOf(steps).then(({ text, finishReason, usage }) =>
    completion(head, { text, finishReason, usage: usageOf(usage.inputTokens, usage.outputTokens) }),
  );
  const ended = () => {
    clearTimeout(timer);
    waiting.end();
  };
  answer.then(ended, ended);
  const soon = await waiting.soon(answer);
  if (soon) return c.json(soon);
  return c.body(afterBlanks(answer, waiting), 200, { 'Content-Type': 'application/json' });
}

async function resultOf(steps: AsyncGenerator<Step>): Promise<Result> {
  for await (const { result } of steps) if (result) return result;
  throw new Error('an answer without an end');
}

function afterBlanks(answer: Promise<object>, waiting: Waiting): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let beat: ReturnType<typeof setInterval> | undefined;
  return new ReadableStream<Uint8Array>({
    start(controller) {
      const enqueue = (text: string) => controller.enqueue(encoder.encode(text));
      enqueue(' ');
      beat = setInterval(() => enqueue(' '), BEAT_MS);
      answer
        .finally(() => clearInterval(beat))
        .then(
          (completed) => {
            enqueue(JSON.stringify(completed));
            controller.close();
          },
          (error: unknown) => {
            enqueue(JSON.stringify(noAnswer(error).body));
            controller.error(error);
          },
        )
        // The client has disconnected.
        .catch(() => undefined);
    },
    cancel() {
      clearInterval(beat);
      waiting.leave();
    },
  });
}
