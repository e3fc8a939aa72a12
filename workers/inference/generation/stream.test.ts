import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { waitFor } from '../../../infra/quality/testing/wait.ts';
import { classify } from '../../runtime/failures.ts';
import { type Script, startModelServer, type TestModelServer } from '../../testing/model-server.ts';
import { ServerBusyError } from './failures.ts';
import { ModelServer } from './server.ts';
import { streamAnswer } from './stream.ts';

let server: TestModelServer;
beforeEach(async () => {
  server = await startModelServer(['m']);
});
afterEach(() => server.stop());

const ask = async (script: Script, { idleMs = 30_000, signal = new AbortController().signal } = {}) => {
  server.scripts.push(script);
  let text = '';
  const asked = streamAnswer(
    new ModelServer(server.url, 'key'),
    { input: { model: 'm', prompt: 'Hi' }, userId: 'u' },
    signal,
    idleMs,
    (piece) => {
      text += piece;
    },
  );
  return asked.then((answer) => ({ ...answer, streamed: text }));
};
const refusal = (status: number, message: string, headers?: Record<string, string>): Script => ({
  refuse: { status, body: { error: { message } }, ...(headers ? { headers } : {}) },
});

test('an answer with a finish reason is complete, and its text equals the streamed text', async () => {
  expect(await ask({ pieces: ['Grüße', ' 👋', '\n'] })).toMatchObject({
    text: 'Grüße 👋\n',
    streamed: 'Grüße 👋\n',
    finishReason: 'stop',
    usage: { inputTokens: 7, outputTokens: 3 },
  });
  expect(await ask({ usage: false })).toMatchObject({ usage: { inputTokens: 0, outputTokens: 0 } });
  expect(server.asked[0]).toMatchObject({
    authorization: 'Bearer key',
    body: { model: 'm', messages: [{ role: 'user', content: 'Hi' }], stream: true },
  });
});

test.each<[string, Script, string, boolean]>([
  ['a stream without an end', { end: 'truncated' }, 'stream_truncated', true],
  ['a broken connection', { end: 'broken' }, 'model_unavailable', true],
  ['nonsense', { end: 'nonsense' }, 'model_unavailable', true],
  ['an error in the stream', { end: 'error' }, 'model_unavailable', true],
  ['no memory, in the stream', { end: 'error', error: 'CUDA out of memory' }, 'model_out_of_memory', true],
  ['no memory, as 400', refusal(400, 'torch.OutOfMemoryError: CUDA'), 'model_out_of_memory', true],
  ['500', refusal(500, 'oops'), 'model_unavailable', true],
  ['408', refusal(408, 'too slow'), 'model_unavailable', true],
  ['404', refusal(404, 'The model `m` does not exist.'), 'model_unavailable', true],
  ['400', refusal(400, 'temperature must be non-negative'), 'request_refused', false],
  ['422', refusal(422, 'no'), 'request_refused', false],
  ['401', refusal(401, 'bad key'), 'model_server_denied', false],
  ['403', refusal(403, 'no'), 'model_server_denied', false],
  [
    "vLLM's context",
    refusal(400, "This model's maximum context length is 4096 tokens. However, you requested 5000"),
    'context_exceeded',
    false,
  ],
  [
    "llama.cpp's context",
    refusal(400, 'the request exceeds the available context size, try increasing it'),
    'context_exceeded',
    false,
  ],
])('%s has its own failure', async (_, script, code, retryable) => {
  const error = await ask(script).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ name: 'JobFailureError', code });
  expect(classify(error)).toMatchObject({ retryable });
});

test('a server that does not answer is model_unavailable', async () => {
  const { url } = server;
  const away = new ModelServer(url, undefined);
  await server.stop();
  const { signal } = new AbortController();
  const asked = streamAnswer(
    away,
    { input: { model: 'm', prompt: 'Hi' }, userId: 'u' },
    signal,
    30_000,
    () => undefined,
  );
  await expect(asked).rejects.toMatchObject({ code: 'model_unavailable' });
  server = await startModelServer(['m']);
});

test.each([
  [429, '3', 3000],
  [503, undefined, 0],
  [429, '999999', 60_000],
  [429, 'soon', 0],
])(
  'a busy server (%i, Retry-After: %s) gets the pause that it asks for, within bounds',
  async (status, value, ms) => {
    const error = await ask(refusal(status, 'busy', value ? { 'Retry-After': value } : undefined)).catch(
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(ServerBusyError);
    expect(error).toMatchObject({ retryAfterMs: ms });
  },
);

test('a stream that stalls before or after the first token fails with stream_idle', async () => {
  for (const script of [{ end: 'stall' }, { holdAfter: 0 }, { holdAfter: 2 }] as Script[]) {
    await expect(ask(script, { idleMs: 100 })).rejects.toMatchObject({ code: 'stream_idle' });
  }
});

test('an abort ends the stream and the request at the server', async () => {
  const stop = new AbortController();
  const answer = ask({ holdAfter: 2 }, { signal: stop.signal });
  answer.catch(() => undefined);
  await waitFor('the stream to be open', () => server.open === 1);
  stop.abort('shutdown');
  await expect(answer).rejects.toBe('shutdown');
  await waitFor('the server to see it', () => server.open === 0 && server.left === 1);
});

test('an answer that is too long fails with answer_too_long', async () => {
  const piece = 'x'.repeat(200_000);
  await expect(ask({ pieces: Array(7).fill(piece) })).rejects.toMatchObject({ code: 'answer_too_long' });
});

test('an endless line fails with answer_too_long within bounded memory', async () => {
  let sent = 0;
  const endless = createServer((_request, response) => {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    const more = () => {
      const chunk = 'x'.repeat(2 ** 16);
      while (!response.destroyed && response.write(chunk)) sent += chunk.length;
      sent += chunk.length;
    };
    response.on('drain', more);
    response.write('data: ');
    more();
  });
  await new Promise<void>((resolve) => endless.listen(0, '127.0.0.1', resolve));
  const { port } = endless.address() as AddressInfo;
  const model = new ModelServer(`http://127.0.0.1:${port}`, undefined);
  const asked = streamAnswer(
    model,
    { input: { model: 'm', prompt: 'Hi' }, userId: 'u' },
    new AbortController().signal,
    30_000,
    () => undefined,
  );
  await expect(asked).rejects.toMatchObject({ code: 'answer_too_long' });
  expect(sent).toBeLessThan(32 * 2 ** 20);
  endless.closeAllConnections();
  endless.close();
});
