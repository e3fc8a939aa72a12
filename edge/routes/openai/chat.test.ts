import type { EventType } from '@warmwind/shared/contract/rooms';
import { keys } from '@warmwind/shared/engine/keys';
import OpenAI from 'openai';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { signToken, startTestEdge, type TestEdge } from '../../../infra/local/edge/testing.ts';
import { envelopeOf } from '../../../infra/quality/testing/events.ts';
import { waitFor } from '../../../infra/quality/testing/wait.ts';
import { startTestRelay, type TestRelay } from '../../testing/relay.ts';
import { emptyStores, waiting } from '../../testing/stores.ts';

const ASK = { model: 'desk-tiny', messages: [{ role: 'user' as const, content: 'write a story' }] };
const RESULT = { text: 'Once upon a time', finishReason: 'stop', usage: { inputTokens: 7, outputTokens: 4 } };
let relay: TestRelay;
let edge: TestEdge;
let openai: OpenAI;

beforeAll(async () => {
  relay = await startTestRelay();
  edge = await startTestEdge({
    RELAY_URL: relay.url,
    RATE_LIMITS: '{"user": ["1000/s"], "containers.start": []}',
    QUOTAS: '{"jobs": 3}',
  });
  openai = await client('ada');
});
afterAll(async () => {
  await edge?.stop();
  await relay?.stop();
});
beforeEach(async () => {
  await emptyStores(edge);
  relay.finish();
  relay.asked.length = 0;
  relay.silent = false;
});

const client = async (user: string, apiKey?: string) =>
  new OpenAI({
    baseURL: `${edge.url}/v1`,
    apiKey: apiKey ?? (await signToken({ sub: user })),
    maxRetries: 0,
    timeout: 20_000,
  });
const redis = () => edge.gateway.redis.client;
const asked = (streams = 1) =>
  waitFor(
    'the relay to be asked',
    () => relay.asked.length >= streams && relay.asked.at(-1)?.path.split('/')[2],
  );

let sent = 0;
const publish = (type: EventType, data: object = {}) => {
  sent += 1;
  const event = envelopeOf(type, data, { id: `1-${sent}` });
  relay.send(`id: ${event.id}\nevent: ${type}\ndata: ${JSON.stringify(event)}\n\n`);
};
const fail = (code: string, message: string) =>
  publish('job.failed', { error: { code, message, retryable: false } });

async function errorOf(request: Promise<unknown>) {
  const error = await request.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof OpenAI.APIError) return error;
  throw new Error(`no refusal: ${String(error)}`);
}
/** Reads a stream to its end. */
async function read(stream: AsyncIterable<OpenAI.ChatCompletionChunk>) {
  const chunks: OpenAI.ChatCompletionChunk[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return { chunks, text: chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('') };
}

describe('POST /v1/chat/completions', () => {
  test('200: a job, whose result is the answer; its limits are in the headers', async () => {
    const answering = openai.chat.completions
      .create({ ...ASK, max_tokens: 9, temperature: 0, top_p: 0.9, stop: '\n' })
      .withResponse();
    const id = await asked();
    expect(await waiting(edge, 'ai-inference')).toEqual([id]);
    const input = JSON.parse((await redis().get(keys.input('ada', id))) ?? '');
    expect(input).toEqual({
      ...ASK,
      maxTokens: 9,
      temperature: 0,
      topP: 0.9,
      stop: ['\n'],
      seed: expect.any(Number),
    });
    publish('job.output', { text: 'Once' });
    publish('job.completed', { result: RESULT });
    const { data, response } = await answering;
    expect(data).toMatchObject({
      id: `chatcmpl-${id}`,
      object: 'chat.completion',
      model: 'desk-tiny',
      choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content: RESULT.text } }],
      usage: { prompt_tokens: 7, completion_tokens: 4, total_tokens: 11 },
    });
    expect(response.headers.get('X-RateLimit-Limit')).toBe('1000');
  });

  test('200: a stream of the output of the job, then its finish reason and its usage', async () => {
    const streaming = openai.chat.completions.create({
      ...ASK,
      stream: true,
      stream_options: { include_usage: true },
    });
    await asked();
    publish('job.active');
    for (const text of ['Once', ' upon', ' a time']) publish('job.output', { text });
    publish('job.completed', { result: RESULT });
    const { chunks, text } = await read(await streaming);
    expect(text).toBe(RESULT.text);
    expect(chunks.map(({ choices }) => choices[0]?.finish_reason).filter(Boolean)).toEqual(['stop']);
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { total_tokens: 11 } });
  });

  test('200: an interrupted stream of the relay continues after the last event, and no text is sent twice', async () => {
    const streaming = openai.chat.completions.create({ ...ASK, stream: true });
    await asked();
    publish('job.output', { text: 'Once' });
    const reading = read(await streaming);
    relay.finish();
    await asked(2);
    expect(relay.asked.at(-1)?.lastEventId).toBe(`1-${sent}`);
    publish('job.output', { text: ' upon a time' });
    publish('job.completed', { result: RESULT });
    expect((await reading).text).toBe(RESULT.text);
  });

  test('200: labels, and values that change nothing; the same key is the same job', async () => {
    const neutral = {
      n: 1,
      tools: [],
      tool_choice: 'none',
      parallel_tool_calls: true,
      functions: [],
      function_call: 'none',
      response_format: { type: 'text' },
      logprobs: false,
      top_logprobs: 0,
      logit_bias: {},
      frequency_penalty: 0,
      presence_penalty: 0,
      modalities: ['text'],
      audio: null,
      prediction: null,
      reasoning_effort: null,
      verbosity: 'medium',
      service_tier: 'auto',
      store: false,
      stream_options: null,
    } as const;
    const labels = { user: 'someone', metadata: { a: 'b' }, safety_identifier: 's', prompt_cache_key: 'p' };
    const echoed = { role: 'assistant' as const, content: 'Yes?', refusal: null, tool_calls: [] };
    const ask = () =>
      openai.chat.completions.create(
        {
          ...ASK,
          ...labels,
          ...neutral,
          messages: [...ASK.messages, echoed, ...ASK.messages],
        } as unknown as OpenAI.ChatCompletionCreateParamsNonStreaming,
        { headers: { 'Idempotency-Key': 'k' } },
      );
    const both = [ask()];
    const id = await asked();
    both.push(ask());
    expect(await asked(2)).toBe(id);
    publish('job.completed', { result: RESULT });
    expect((await Promise.all(both)).map((answer) => answer.id)).toEqual([
      `chatcmpl-${id}`,
      `chatcmpl-${id}`,
    ]);
    expect(await waiting(edge, 'ai-inference')).toEqual([id]);
  });

  test.each([true, false])('a client that disconnects cancels the job (stream: %s)', async (stream) => {
    const leave = new AbortController();
    const answering = openai.chat.completions
      .create({ ...ASK, stream }, { signal: leave.signal })
      .then(async (answer) => {
        if (stream) await read(answer as unknown as AsyncIterable<OpenAI.ChatCompletionChunk>);
      })
      .catch(() => undefined);
    const id = await asked();
    publish('job.output', { text: 'Once' });
    leave.abort();
    await answering;
    await waitFor('the job to be cancelled', async () => {
      return (await redis().hget(keys.job('ada', id), 'state')) === 'cancelled';
    });
    await waitFor('the relay to be left', () => {
      relay.send(': beat\n\n');
      return relay.asked[0]?.gone;
    });
  });

  test.each([
    [{ n: 2 }, 'n', 'unsupported_parameter'],
    [{ tools: [{ type: 'function', function: { name: 'f' } }] }, 'tools', 'unsupported_parameter'],
    [{ logprobs: true }, 'logprobs', 'unsupported_parameter'],
    [{ response_format: { type: 'json_object' } }, 'response_format.type', 'unsupported_parameter'],
    [{ modalities: ['text', 'audio'] }, 'modalities.1', 'unsupported_parameter'],
    [
      { stream_options: { include_obfuscation: true } },
      'stream_options.include_obfuscation',
      'unsupported_parameter',
    ],
    [
      { messages: [{ role: 'user', content: 'Hi', name: 'Ada' }] },
      'messages.0.name',
      'unsupported_parameter',
    ],
    [
      { messages: [{ role: 'user', content: 'Hi', weight: 1 }] },
      'messages.0.weight',
      'unsupported_parameter',
    ],
    [{ temperature: 3 }, 'temperature', 'invalid_value'],
    [{ messages: [] }, 'messages', 'invalid_value'],
    [
      { messages: [{ role: 'user', content: [{ type: 'image_url' }] }] },
      'messages.0.content',
      'invalid_value',
    ],
  ])('400: %j', async (wrong, param, code) => {
    const error = await errorOf(
      openai.chat.completions.create({ ...ASK, ...wrong } as OpenAI.ChatCompletionCreateParamsNonStreaming),
    );
    expect(error).toMatchObject({ status: 400, type: 'invalid_request_error', code, param });
    expect(await redis().keys('ww:{ada}:job*')).toEqual([]);
  });

  test.each([
    { frequency_penalty: 0.5 },
    { presence_penalty: -1 },
    { repetition_penalty: 1.1 },
    { tool_choice: 'auto' },
    { tool_choice: { type: 'function', function: { name: 'f' } } },
    { parallel_tool_calls: false },
    { functions: [{ name: 'f' }] },
    { function_call: 'auto' },
    { top_logprobs: 2 },
    { logit_bias: { 50256: -100 } },
    { audio: { voice: 'alloy', format: 'wav' } },
    { prediction: { type: 'content', content: 'x' } },
    { web_search_options: {} },
    { reasoning_effort: 'high' },
    { verbosity: 'low' },
    { service_tier: 'flex' },
    { store: true },
    { top_k: 40 },
    { min_p: 0.1 },
    { chat_template_kwargs: {} },
    { nonsense: 1 },
  ])('400 with the name of what is not honoured: %j', async (wrong) => {
    const [param] = Object.keys(wrong);
    const error = await errorOf(
      openai.chat.completions.create({ ...ASK, ...wrong } as OpenAI.ChatCompletionCreateParamsNonStreaming),
    );
    expect(error).toMatchObject({ status: 400, code: 'unsupported_parameter', param });
    expect(await redis().keys('ww:{ada}:job*')).toEqual([]);
  });

  test.each([true, false])(
    'a job that fails at once has the status of its failure (stream: %s)',
    async (stream) => {
      const answering = errorOf(openai.chat.completions.create({ ...ASK, stream }));
      await asked();
      fail('model_missing', 'No host serves this model now.');
      expect(await answering).toMatchObject({ status: 404, code: 'model_not_found', param: 'model' });
    },
  );

  test('a job that fails in mid-stream ends it with an error', async () => {
    const streaming = openai.chat.completions.create({ ...ASK, stream: true });
    await asked();
    publish('job.output', { text: 'Once' });
    const reading = errorOf(read(await streaming));
    fail('stream_truncated', 'The answer broke off.');
    expect((await reading).message).toContain('The answer broke off.');
  });

  test("401, 404, 413, 415, 429: in OpenAI's form", async () => {
    const unknown = await client('ada', 'no-token');
    expect(await errorOf(unknown.chat.completions.create(ASK))).toMatchObject({
      status: 401,
      code: 'invalid_api_key',
    });
    const missing = [
      openai.embeddings.create({ model: 'm', input: 'x' }),
      openai.responses.create({ model: 'm', input: 'x' }),
      openai.completions.create({ model: 'm', prompt: 'x' }),
    ];
    for (const error of await Promise.all(missing.map(errorOf))) {
      expect(error).toMatchObject({
        status: 404,
        message: expect.stringMatching(/POST \/v1\/chat\/completions, GET \/v1\/models/),
      });
    }
    expect(await errorOf(openai.chat.completions.create({ ...ASK, model: 'ocr-eng' }))).toMatchObject({
      status: 404,
      code: 'model_not_found',
    });
    const large = [{ role: 'user' as const, content: 'x'.repeat(1.6 * 2 ** 20) }];
    expect(await errorOf(openai.chat.completions.create({ ...ASK, messages: large }))).toMatchObject({
      status: 413,
      code: 'payload_too_large',
    });
    const text = await edge.call('ada', 'POST', '/v1/chat/completions', {
      body: 'hi',
      headers: { 'Content-Type': 'text/plain' },
    });
    expect([text.status, text.body]).toMatchObject([415, { error: { code: 'unsupported_media_type' } }]);
    const leave = new AbortController();
    const open = [1, 2, 3].map(() =>
      openai.chat.completions.create(ASK, { signal: leave.signal }).catch(() => undefined),
    );
    await asked(3);
    const full = await errorOf(openai.chat.completions.create(ASK));
    expect(full).toMatchObject({ status: 429, code: 'insufficient_quota', type: 'rate_limit_error' });
    leave.abort();
    await Promise.all(open);
  });
});

test('GET /v1/models: the models that generate text, by name', async () => {
  const later = Date.now() + 60_000;
  await redis().zadd(keys.models(), later, 'h1 desk-tiny', later, 'h2 desk-large', later, 'h1 ocr-eng');
  const { data } = await openai.models.list();
  expect(data.map(({ id }) => id)).toEqual(['desk-large', 'desk-tiny']);
});

test("GET /v1/models/:id: one of them, 404 in OpenAI's form for another", async () => {
  const later = Date.now() + 60_000;
  await redis().zadd(keys.models(), later, 'h1 org/desk-large', later, 'h1 ocr-eng', 1, 'h1 old');
  const model = await openai.models.retrieve('org/desk-large');
  expect(model).toEqual({ id: 'org/desk-large', object: 'model', created: 0, owned_by: 'warmwind' });
  for (const id of ['old', 'ocr-eng', 'nothing']) {
    const error = await errorOf(openai.models.retrieve(id));
    expect(error).toMatchObject({ status: 404, code: 'model_not_found', type: 'invalid_request_error' });
  }
});
