import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import OpenAI from 'openai';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { waitFor } from '../../quality/testing/wait.ts';
import { writeEndlessModel } from './endless.ts';
import { startModelServer, type TestModelServer } from './testing.ts';

const STORY = [{ role: 'user' as const, content: 'tell me a story' }];
let dir: string;
let tiny: TestModelServer;
/** One answer at a time, without an end; one more may wait. */
let endless: TestModelServer;
let openai: OpenAI;
let endlessAi: OpenAI;

const client = (server: TestModelServer) =>
  new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0, timeout: 20_000 });

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'warmwind-model-'));
  const path = writeEndlessModel(dir, 32_768);
  const env = { MODEL_PATH: path, MODEL_CONTEXT: '32768', MODEL_PARALLEL: '1', MODEL_QUEUE: '1' };
  [tiny, endless] = await Promise.all([startModelServer(), startModelServer(env)]);
  [openai, endlessAi] = [client(tiny), client(endless)];
});
afterAll(async () => {
  await Promise.all([tiny.stop(), endless.stop()]);
  rmSync(dir, { recursive: true, force: true });
});

const processing = (server: TestModelServer) => server.metric('llamacpp:requests_processing');
const deferred = (server: TestModelServer) => server.metric('llamacpp:requests_deferred');
const raw = (server: TestModelServer, body: string) =>
  fetch(`${server.url}/v1/chat/completions`, { method: 'POST', body });

async function refusalOf(request: Promise<unknown>): Promise<InstanceType<typeof OpenAI.APIError>> {
  const error = await request.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof OpenAI.APIError) return error;
  throw new Error(`no refusal: ${String(error)}`);
}

it('a stock client lists the model and has it answer', async () => {
  const { data } = await openai.models.list();
  expect(data.map(({ id }) => id)).toEqual(['desk-tiny']);
  expect(await openai.models.retrieve('desk-tiny')).toMatchObject({ object: 'model' });
  const answer = await openai.chat.completions.create({
    model: 'desk-tiny',
    messages: STORY,
    temperature: 0,
  });
  expect(answer.choices[0]).toMatchObject({ index: 0, finish_reason: 'stop' });
  expect(answer.choices[0]?.message.content).toMatch(/^Once upon a time .* everyone was happy\.$/);
  const { prompt_tokens, completion_tokens, total_tokens } = answer.usage ?? {};
  expect(prompt_tokens).toBe(7);
  expect(total_tokens).toBe(7 + (completion_tokens ?? 0));
});

it('a streamed answer is the complete one in pieces, with its usage at the end', async () => {
  const request = { model: 'desk-tiny', messages: STORY, seed: 4 };
  const complete = await openai.chat.completions.create(request);
  const stream = await openai.chat.completions.create({
    ...request,
    stream: true,
    stream_options: { include_usage: true },
  });
  const chunks: OpenAI.ChatCompletionChunk[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  const text = chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('');
  expect(text).toBe(complete.choices[0]?.message.content);
  expect(chunks.length).toBeGreaterThan(20);
  expect(chunks.map(({ choices }) => choices[0]?.finish_reason).filter(Boolean)).toEqual(['stop']);
  expect(chunks.at(-1)).toMatchObject({ choices: [], usage: complete.usage });
});

it('a seed gives the same answer, also while other requests are answered', async () => {
  const ask = async (seed: number) => {
    const answer = await openai.chat.completions.create({ model: 'desk-tiny', messages: STORY, seed });
    return answer.choices[0]?.message.content;
  };
  const alone = [await ask(1), await ask(2)];
  expect(alone[0]).not.toBe(alone[1]);
  const together = await Promise.all(Array.from({ length: 20 }, (_, index) => ask(1 + (index % 2))));
  expect(together).toEqual(Array.from({ length: 20 }, (_, index) => alone[index % 2]));
});

it('fifty streams at once are all answered', async () => {
  const one = async () => {
    const stream = await openai.chat.completions.create({
      model: 'desk-tiny',
      messages: STORY,
      stream: true,
    });
    let finish: string | undefined;
    for await (const { choices } of stream) finish = choices[0]?.finish_reason ?? finish;
    return finish;
  };
  const ends = await Promise.all(Array.from({ length: 50 }, one));
  expect(new Set(ends)).toEqual(new Set(['stop']));
});

it('an answer ends at max_tokens, and before a stop word', async () => {
  const ask = (options: object) =>
    openai.chat.completions.create({ model: 'desk-tiny', messages: STORY, temperature: 0, ...options });
  for (const limit of [{ max_tokens: 3 }, { max_completion_tokens: 3 }]) {
    const { choices, usage } = await ask(limit);
    expect(choices[0]).toMatchObject({ finish_reason: 'length', message: { content: 'Once upon a' } });
    expect(usage?.completion_tokens).toBe(3);
  }
  const { choices } = await ask({ stop: [' who', 'never'] });
  expect(choices[0]?.finish_reason).toBe('stop');
  expect(choices[0]?.message.content).toMatch(/^Once upon a time there was a \w+ \w+$/);
});

it('the prompt is in the template of the model, and a control token in a message is text', async () => {
  const tokens = async (messages: OpenAI.ChatCompletionMessageParam[]) => {
    const answer = await openai.chat.completions.create({ model: 'desk-tiny', messages, max_tokens: 1 });
    return answer.usage?.prompt_tokens ?? 0;
  };
  // <bos> <|user|> tell me a story <|assistant|>
  expect(await tokens(STORY)).toBe(7);
  expect(await tokens([{ role: 'user', content: [{ type: 'text', text: 'tell me a story' }] }])).toBe(7);
  expect(await tokens([{ role: 'user', content: 'tell me a story<|assistant|>' }])).toBeGreaterThan(8);
});

it.each([
  [404, 'model_not_found', { model: 'gpt-4' }],
  [400, 'invalid_value', { messages: [] }],
  [400, 'invalid_value', { messages: [{ role: 'robot', content: 'x' }] }],
  [400, 'invalid_value', { temperature: 3 }],
  [400, 'unsupported_parameter', { n: 2 }],
  [400, 'unsupported_parameter', { tools: [{ type: 'function', function: { name: 'f' } }] }],
  [400, 'unsupported_parameter', { logprobs: true }],
  [400, 'unsupported_parameter', { frequency_penalty: 1 }],
  [400, 'unsupported_parameter', { top_k: 40 }],
  [400, 'context_length_exceeded', { messages: [{ role: 'user', content: 'cats '.repeat(200) }] }],
  [400, 'context_length_exceeded', { messages: [{ role: 'user', content: 'x'.repeat(100_000) }] }],
])('answers %i %s in the form that OpenAI has', async (status, code, wrong) => {
  const request = { model: 'desk-tiny', messages: STORY, ...wrong } as OpenAI.ChatCompletionCreateParams;
  const error = await refusalOf(openai.chat.completions.create(request));
  expect(error).toMatchObject({ status, code, type: 'invalid_request_error' });
});

it('a body that is no JSON, or larger than 1 MB, is refused', async () => {
  expect((await raw(tiny, '{"model"')).status).toBe(400);
  const large = await raw(tiny, JSON.stringify({ model: 'desk-tiny', messages: 'x'.repeat(2 ** 20) }));
  expect(large.status).toBe(413);
  expect(await large.json()).toMatchObject({ error: { code: 'payload_too_large' } });
  expect((await fetch(`${tiny.url}/v1/nothing`)).status).toBe(404);
});

it('a stream whose client disconnects generates nothing more', async () => {
  const stream = await endlessAi.chat.completions.create({
    model: 'desk-endless',
    messages: STORY,
    stream: true,
  });
  let pieces = 0;
  for await (const _ of stream) if (++pieces === 10) break;
  stream.controller.abort();
  await waitFor('it to stop', async () => (await processing(endless)) === 0);
  const tokens = await endless.metric('llamacpp:tokens_predicted_total');
  expect(tokens).toBeLessThan(20_000);
  expect(await endless.metric('llamacpp:tokens_predicted_total')).toBe(tokens);
});

it('a client that disconnects while its answer is generated, or while it waits, costs nothing more', async () => {
  const gone = [new AbortController(), new AbortController()];
  const asked = gone.map(({ signal }) =>
    endlessAi.chat.completions
      .create({ model: 'desk-endless', messages: STORY }, { signal })
      .catch(() => 'gone'),
  );
  await waitFor('both', async () => (await processing(endless)) + (await deferred(endless)) === 2);
  gone[1]?.abort();
  await waitFor(
    'the line to be empty',
    async () => (await processing(endless)) + (await deferred(endless)) === 1,
  );
  gone[0]?.abort();
  await waitFor('it to stop', async () => (await processing(endless)) === 0);
  expect(await Promise.all(asked)).toEqual(['gone', 'gone']);
});

it('a full line answers 429 with Retry-After', async () => {
  const gone = new AbortController();
  const asked = [1, 2].map(() =>
    endlessAi.chat.completions
      .create({ model: 'desk-endless', messages: STORY }, { signal: gone.signal })
      .catch(() => 'gone'),
  );
  await waitFor('both', async () => (await deferred(endless)) === 1);
  const error = await refusalOf(
    endlessAi.chat.completions.create({ model: 'desk-endless', messages: STORY }),
  );
  expect(error).toMatchObject({ status: 429, code: 'rate_limit_exceeded' });
  expect(error.headers?.get('Retry-After')).toBe('1');
  gone.abort();
  await Promise.all(asked);
  await waitFor('it to stop', async () => (await processing(endless)) === 0);
});

it('a reader that takes nothing delays no other turn', async () => {
  const stalled = await raw(
    endless,
    JSON.stringify({ model: 'desk-endless', messages: STORY, stream: true, max_tokens: 1000 }),
  );
  const answer = await endlessAi.chat.completions.create({
    model: 'desk-endless',
    messages: STORY,
    max_tokens: 5,
  });
  expect(answer.usage?.completion_tokens).toBe(5);
  await stalled.body?.cancel();
});

it('until the model is in memory, health, ready and requests answer 503', async () => {
  const pipe = join(dir, 'slow.gguf');
  execFileSync('mkfifo', [pipe]);
  const server = await startModelServer({ MODEL_PATH: pipe }, { untilServing: false });
  const status = (path: string) =>
    fetch(server.url + path).then(
      (response) => response.status,
      () => undefined,
    );
  await waitFor('it to listen', () => status('/health/live'));
  expect(await status('/health')).toBe(503);
  expect(await status('/health/ready')).toBe(503);
  const refused = await raw(server, JSON.stringify({ model: 'slow', messages: STORY }));
  expect(refused.status).toBe(503);
  expect(await refused.json()).toMatchObject({ error: { type: 'server_error', code: 'unavailable' } });
  await server.stop();
});

it('a model that can not be loaded ends it with the remedy', async () => {
  const server = await startModelServer({ MODEL_PATH: '/nowhere/model.gguf' }, { untilServing: false });
  expect(await server.exited).toBe(78);
  expect(server.output()).toContain('there is no model at MODEL_PATH=/nowhere/model.gguf');
});

it('on SIGTERM running answers may end, nothing new begins, and it exits 0', async () => {
  const server = await startModelServer();
  const running = client(server).chat.completions.create({
    model: 'desk-tiny',
    messages: STORY,
    stream: true,
  });
  const chunks: (string | null | undefined)[] = [];
  const stream = await running;
  server.child.kill('SIGTERM');
  for await (const { choices } of stream) chunks.push(choices[0]?.finish_reason);
  expect(chunks.at(-1)).toBe('stop');
  expect(await server.exited).toBe(0);
});
