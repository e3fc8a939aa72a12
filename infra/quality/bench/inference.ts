import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import OpenAI from 'openai';
import { writeEndlessModel } from '../../local/model-server/endless.ts';
import { createStack } from '../e2e/stack.ts';
import { waitFor } from '../testing/wait.ts';
import { median, report } from './report.ts';

/**
 * Compares a stock OpenAI client of the complete platform (nginx, edge, queue, worker, relay, ledger) with
 * the same client of the model server itself: tokens a second, time to the first token, and many streams at
 * once.
 */
const ROUNDS = Number(process.env.ROUNDS ?? 5);
/** Tokens of one answer: of a single stream, and of each of many. */
const TOKENS = Number(process.env.TOKENS ?? 2000);
const TOKENS_OF_MANY = Number(process.env.TOKENS_OF_MANY ?? 300);
const STREAMS = Number(process.env.STREAMS ?? 50);
const CONTEXT = 8192;
const MODEL = 'desk-endless';

/** Times in ms since the request. */
type Answer = { firstMs: number; lastMs: number; tokens: number };

async function ask(openai: OpenAI, tokens: number): Promise<Answer> {
  const begun = performance.now();
  const stream = await openai.chat.completions.create({
    model: MODEL,
    messages: [{ role: 'user', content: 'write a story' }],
    seed: 1,
    max_tokens: tokens,
    stream: true,
    stream_options: { include_usage: true },
  });
  const answer = { firstMs: 0, lastMs: 0, tokens: 0 };
  for await (const { choices, usage } of stream) {
    if (choices[0]?.delta.content) {
      answer.lastMs = performance.now() - begun;
      answer.firstMs ||= answer.lastMs;
    }
    answer.tokens = usage?.completion_tokens ?? answer.tokens;
  }
  if (answer.tokens !== tokens) throw new Error(`${answer.tokens} tokens instead of ${tokens}`);
  return answer;
}

/** Tokens a second of one complete answer. */
const perSecond = ({ tokens, lastMs }: Answer) => (tokens / lastMs) * 1000;

/** Tokens a second of all streams together. */
async function many(openai: OpenAI): Promise<{ perSecond: number; firstMs: number }> {
  const begun = performance.now();
  const answers = await Promise.all(Array.from({ length: STREAMS }, () => ask(openai, TOKENS_OF_MANY)));
  const seconds = (performance.now() - begun) / 1000;
  return {
    perSecond: (STREAMS * TOKENS_OF_MANY) / seconds,
    firstMs: median(answers.map(({ firstMs }) => firstMs)),
  };
}

const models = mkdtempSync(join(tmpdir(), 'warmwind-bench-'));
const stack = createStack({
  RATE_LIMITS: '{"user": [], "ip": [], "containers.start": []}',
  QUOTAS: '{"jobs": 1000}',
  INFERENCE_LIMIT: '100000/min',
  LIMITER_TIMEOUT_MS: '5000',
  SUBMIT_TIMEOUT_MS: '5000',
  MODEL_PATH: writeEndlessModel(models, CONTEXT),
  MODEL_CONTEXT: `${CONTEXT}`,
});
let met = true;
try {
  await stack.start();
  const { edge, modelServer, tokens } = stack.file();
  const client = (url: string, apiKey: string) => new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 });
  const platform = client(edge, tokens.user);
  const direct = client(modelServer ?? '', 'none');
  await waitFor('the model', async () => (await platform.models.list()).data.length > 0, 60_000);

  // In turn, so that both run under the same conditions; the first round warms up.
  const alone: { platform: Answer; direct: Answer }[] = [];
  const crowd: { platform: Awaited<ReturnType<typeof many>>; direct: Awaited<ReturnType<typeof many>> }[] =
    [];
  for (let round = 0; round <= ROUNDS; round++) {
    const one = { direct: await ask(direct, TOKENS), platform: await ask(platform, TOKENS) };
    if (round > 0) alone.push(one);
  }

  const ratio = alone.map((one) => perSecond(one.platform) / perSecond(one.direct));
  const added = alone.map((one) => one.platform.firstMs - one.direct.firstMs);
  met = report(`One stream of ${TOKENS} tokens, ${ROUNDS} rounds`, [
    { name: 'tokens/s, platform / model server', value: median(ratio), unit: '', target: { atLeast: 0.95 } },
    { name: 'tokens/s, model server', value: median(alone.map((one) => perSecond(one.direct))), unit: '' },
    { name: 'tokens/s, platform', value: median(alone.map((one) => perSecond(one.platform))), unit: '' },
    { name: 'time to the first token, added', value: median(added), unit: 'ms' },
  ]);

  for (let round = 0; round <= ROUNDS; round++) {
    const all = { direct: await many(direct), platform: await many(platform) };
    if (round > 0) crowd.push(all);
  }
  const together = crowd.map((all) => all.platform.perSecond / all.direct.perSecond);
  met =
    report(`${STREAMS} streams at once of ${TOKENS_OF_MANY} tokens, ${ROUNDS} rounds`, [
      {
        name: 'tokens/s, platform / model server',
        value: median(together),
        unit: '',
        target: { atLeast: 0.95 },
      },
      { name: 'tokens/s, model server', value: median(crowd.map((all) => all.direct.perSecond)), unit: '' },
      { name: 'tokens/s, platform', value: median(crowd.map((all) => all.platform.perSecond)), unit: '' },
      {
        name: 'first token p50, model server',
        value: median(crowd.map((all) => all.direct.firstMs)),
        unit: 'ms',
      },
      {
        name: 'first token p50, platform',
        value: median(crowd.map((all) => all.platform.firstMs)),
        unit: 'ms',
      },
    ]) && met;
} finally {
  await stack.remove();
  rmSync(models, { recursive: true, force: true });
}
process.exitCode = met ? 0 : 1;
