import { randomInt } from 'node:crypto';
import type { LlamaContextSequence, Token } from 'node-llama-cpp';
import { StopWords } from './stop.ts';

export type GenerationOptions = {
  maxTokens: number;
  temperature: number;
  topP: number | undefined;
  seed: number | undefined;
  stop: string[];
};

/** Called for every token that was generated, and for every piece of text. */
export type GenerationListener = { onToken: () => void; onText: (text: string) => void };

/** How it ended, and how many tokens were generated. */
export type GenerationEnd = { finishReason: 'stop' | 'length'; tokens: number };

/** The replacement of an incomplete character, and the most tokens of one character. */
const INCOMPLETE = '\uFFFD';
const MAX_PARTS = 4;

/**
 * Generates one answer. Stops at once, with the signal's reason, when that is aborted. The same prompt
 * with the same seed gives the same text: the sequence starts empty.
 */
export async function generate(
  sequence: LlamaContextSequence,
  prompt: Token[],
  { maxTokens, temperature, topP, seed, stop }: GenerationOptions,
  { onToken, onText }: GenerationListener,
  signal: AbortSignal,
): Promise<GenerationEnd> {
  await sequence.clearHistory();
  const words = new StopWords(stop);
  let last: Token[] = [];
  let parts: Token[] = [];
  let tokens = 0;
  const evaluation = sequence.evaluate(prompt, {
    temperature,
    ...(topP === undefined ? {} : { topP }),
    seed: seed ?? randomInt(2 ** 31),
  });
  let finishReason: GenerationEnd['finishReason'] = 'stop';
  for await (const token of evaluation) {
    signal.throwIfAborted();
    tokens++;
    onToken();
    parts.push(token);
    const piece = sequence.model.detokenize(parts, false, last);
    if (!piece.endsWith(INCOMPLETE) || parts.length >= MAX_PARTS) {
      last = parts;
      parts = [];
      const shown = words.push(piece);
      if (shown !== '') onText(shown);
      if (words.stopped) return { finishReason, tokens };
    }
    if (tokens >= maxTokens) {
      finishReason = 'length';
      break;
    }
  }
  signal.throwIfAborted();
  const rest = words.rest();
  if (rest !== '') onText(rest);
  return { finishReason, tokens };
}
