import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { connect } from '@warmwind/shared/client/client';
import type { GenerationResult } from '@warmwind/shared/contract/inference';
import { compareEventIds, type Envelope } from '@warmwind/shared/contract/rooms';
import OpenAI from 'openai';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openStream, type TestStream } from '../../../relay/testing/stream.ts';
import { startModelServer, type TestModelServer } from '../../../workers/testing/model-server.ts';
import { writeEndlessModel } from '../../local/model-server/endless.ts';
import { born } from '../../local/stack/processes.ts';
import { ENGINE_WITHIN_MS, startEngine } from '../testing/docker.ts';
import { waitFor } from '../testing/wait.ts';
import { edgeOf } from './client.ts';
import { createStack, killPart, type TestStack } from './stack.ts';

const WAIT_MS = 120_000;
/** It generates until it is stopped. */
const MODEL = 'desk-endless';
const CONTEXT = 16_384;
const MESSAGES = [{ role: 'user' as const, content: 'write a story' }];

let models: string;
/** A server that shares no code with ours, whose speed the tests control. */
let slow: TestModelServer;
let stack: TestStack;
let openai: OpenAI;
let direct: OpenAI;

beforeAll(async () => {
  await startEngine();
  models = mkdtempSync(join(tmpdir(), 'warmwind-models-'));
  slow = await startModelServer(['slow']);
  stack = createStack({
    MODEL_SERVERS: slow.url,
    RATE_LIMITS: '{"user": [], "ip": [], "containers.start": []}',
    MODEL_PATH: writeEndlessModel(models, CONTEXT),
    MODEL_CONTEXT: `${CONTEXT}`,
  });
  await stack.start();
  const { edge, modelServer, tokens } = stack.file();
  openai = new OpenAI({ baseURL: `${edge}/v1`, apiKey: tokens.user, maxRetries: 0 });
  direct = new OpenAI({ baseURL: `${modelServer}/v1`, apiKey: 'none', maxRetries: 0 });
  await waitFor('both models', async () => (await openai.models.list()).data.length === 2, WAIT_MS);
}, ENGINE_WITHIN_MS);

afterAll(async () => {
  await stack.remove();
  await slow.stop();
  rmSync(models, { recursive: true, force: true });
}, 90_000);

const jobOf = (id: string) => edgeOf(stack.file()).getJob(id);
/** @returns how many requests the model server processes and queues */
async function busy(): Promise<number> {
  const text = await (await fetch(`${stack.file().modelServer}/metrics`)).text();
  const gauges = [...text.matchAll(/^llamacpp:requests_(?:processing|deferred) (\d+)$/gm)];
  return gauges.reduce((sum, [, value]) => sum + Number(value), 0);
}
/** @returns the text that a watcher has received; a new attempt starts it again */
function textOf(events: Envelope[]): string {
  let text = '';
  for (const { type, data } of events) {
    if (type === 'job.active') text = '';
    if (type === 'job.output' && 'text' in data) text += data.text;
  }
  return text;
}
const inOrder = (events: Envelope[]): boolean =>
  events.every(({ id }, index) => index === 0 || compareEventIds(events[index - 1]?.id ?? '', id) < 0);

it('a stock client receives the same answer through the platform as from the model server', async () => {
  const request = { model: MODEL, messages: MESSAGES, seed: 5, max_tokens: 60 };
  const output = await direct.chat.completions.create(request);
  const completion = await openai.chat.completions.create(request);
  expect(completion.choices).toEqual(output.choices);
  expect(completion.usage).toEqual(output.usage);
  const stream = await openai.chat.completions.create({ ...request, stream: true });
  let text = '';
  for await (const { choices } of stream) text += choices[0]?.delta.content ?? '';
  expect(text).toBe(output.choices[0]?.message.content);
});

it('curl -N reads the same stream, from the edge and from the model server', async () => {
  const { edge, modelServer, tokens } = stack.file();
  const body = JSON.stringify({ model: MODEL, messages: MESSAGES, seed: 5, max_tokens: 60, stream: true });
  const curl = async (url: string) => {
    const args = ['-sN', `${url}/v1/chat/completions`, '-H', 'Content-Type: application/json', '-d', body];
    const { stdout } = await promisify(execFile)('curl', [
      ...args,
      '-H',
      `Authorization: Bearer ${tokens.user}`,
    ]);
    const frames = stdout.split('\n\n').filter((frame) => frame.startsWith('data: '));
    expect(frames.pop()).toBe('data: [DONE]');
    const chunks = frames.map((frame) => JSON.parse(frame.slice(6)) as OpenAI.ChatCompletionChunk);
    return chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('');
  };
  expect(await curl(edge)).toBe(await curl(modelServer ?? ''));
});

it.each([true, false])(
  'the job of a client that disconnects is cancelled, and generation stops (stream: %s)',
  async (stream) => {
    const leave = new AbortController();
    const request = { model: MODEL, messages: MESSAGES, stream };
    const answering = openai.chat.completions
      .create(request, { signal: leave.signal })
      .then(async (answer) => {
        if (stream) for await (const _ of answer as unknown as AsyncIterable<unknown>);
      })
      .catch(() => undefined);
    await waitFor('the model to be asked', async () => (await busy()) === 1, WAIT_MS);
    leave.abort();
    await answering;
    await waitFor('nothing to be generated', async () => (await busy()) === 0, WAIT_MS);
    const { items } = await edgeOf(stack.file()).listJobs({ kind: 'inference', limit: 1 });
    expect(items[0]).toMatchObject({ state: 'cancelled' });
  },
  WAIT_MS,
);

it('watchers receive the complete result despite relay restarts, a worker’s end and a reconnect', async () => {
  const file = stack.file();
  // Each attempt pauses in the middle until it is released or ended.
  const pieces = Array.from({ length: 1200 }, (_, n) => `piece ${n} of it, `);
  slow.scripts.push({ pieces, everyMs: 5, holdAfter: 500 }, { pieces, everyMs: 5, holdAfter: 900 });
  const asked = openai.chat.completions.create({ model: 'slow', messages: MESSAGES, stream: true });
  let jobId = '';
  let text = '';
  const read = asked.then(async (stream) => {
    for await (const { id, choices } of stream) {
      jobId = id.replace('chatcmpl-', '');
      text += choices[0]?.delta.content ?? '';
    }
  });
  read.catch(() => undefined);
  await waitFor('the first text', () => text !== '', WAIT_MS);

  const events: Envelope[] = [];
  const socket = connect({
    url: file.relay,
    token: async () => (await edgeOf(file).createTicket()).token,
  });
  socket.subscribe(`job:${jobId}`, { onEvent: (event) => events.push(event) });
  const streams: TestStream[] = [];
  const seen = () => streams.flatMap((stream) => stream.events);
  const ended = (watched: Envelope[]) => watched.some(({ type }) => type === 'job.completed');
  let watching = true;
  /** Reconnects after its last event whenever its stream has ended too early. */
  const follow = async () => {
    while (watching && !ended(seen())) {
      const opened = openStream(file.edge, file.tokens.user, jobId, seen().at(-1)?.id);
      const stream = await opened.catch(() => undefined);
      if (!stream?.response.ok) continue;
      streams.push(stream);
      await waitFor('its end', () => stream.over() ?? !watching, 2 * WAIT_MS);
    }
  };
  const following = follow();
  following.catch(() => undefined);
  const until = (piece: number) =>
    waitFor(`piece ${piece}`, () => textOf(events).includes(pieces[piece - 1] ?? ''), WAIT_MS);
  const attempts = () => events.filter(({ type }) => type === 'job.active').length;
  try {
    await until(50);
    await killPart(stack, 'relay-1');
    await until(500);
    for (const worker of ['worker-1', 'worker-2']) {
      const pid = stack.file().pids[worker] ?? 0;
      process.kill(pid, 'SIGTERM');
      await waitFor(`${worker} to be gone`, () => born(pid) === undefined, WAIT_MS);
      // The worker that ran the job has requeued it by now.
      if (await waitFor('another attempt', () => attempts() === 2, 5000).catch(() => false)) break;
    }
    await until(100);
    streams.at(-1)?.close();
    await killPart(stack, 'relay-2');
    await until(900);
    slow.release();
    await read;
    await following;
    await waitFor('the end', () => ended(events), WAIT_MS);
    expect(attempts()).toBe(2);
  } finally {
    watching = false;
    socket.close();
    for (const stream of streams) stream.close();
  }
  const completion = pieces.join('');
  const job = await jobOf(jobId);
  expect(job).toMatchObject({ state: 'completed', attemptsMade: 1 });
  // Compare first: a diff of texts this long must not be printed.
  const totals = {
    result: (job.result as GenerationResult).text,
    openai: text,
    socket: textOf(events),
    sse: textOf(seen()),
  };
  const wrong = Object.entries(totals).filter(([, each]) => each !== completion);
  expect(wrong.map(([name, { length }]) => `${name}: ${length} instead of ${completion.length}`)).toEqual([]);
  expect([inOrder(events), inOrder(seen())]).toEqual([true, true]);
  expect(streams.length).toBeGreaterThan(1);
}, 300_000);
