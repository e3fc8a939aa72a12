import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import Anthropic from '@anthropic-ai/sdk';
import { GoogleGenAI } from '@google/genai';
import type { ContainerClient } from '@warmwind/shared/client/container';
import { ComputerToolset } from '@warmwind/shared/client/drivers/anthropic';
import {
  ConfirmationRequiredError,
  computerTurns as geminiTurns,
} from '@warmwind/shared/client/drivers/gemini';
import { computerTurns as openaiTurns, SafetyCheckError } from '@warmwind/shared/client/drivers/openai';
import {
  type Reply,
  type ScriptedApi,
  startScriptedApi,
} from '@warmwind/shared/client/drivers/testing/scripted-api';
import { createWarmwind, type Warmwind } from '@warmwind/shared/client/warmwind';
import type { ReadingResult } from '@warmwind/shared/contract/inference';
import OpenAI from 'openai';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ENGINE_WITHIN_MS, startEngine } from '../testing/docker.ts';
import { waitFor } from '../testing/wait.ts';
import { createStack, type TestStack } from './stack.ts';

const EXAMPLES = join(import.meta.dirname, '../../../docs/guides/agents');
const WAIT_MS = 60_000;
/** An example starts a desktop of its own and reads its screen some ten times. */
const EXAMPLE_MS = 180_000;
const SCREEN = { width: 1280, height: 800 };
/** Half of the screen: one pixel of a picture is two of the screen. */
const MAX_SIDE = 640;
const SPACE = { width: 640, height: 400 };

let stack: TestStack;
let warmwind: Warmwind;
let desktop: ContainerClient;
const apis: ScriptedApi[] = [];

beforeAll(async () => {
  await startEngine();
  stack = createStack({
    RATE_LIMITS: '{"user": [], "ip": [], "containers.start": [], "containers.actions": []}',
  });
  await stack.start();
  const { edge, tokens } = stack.file();
  warmwind = createWarmwind({ url: edge, token: tokens.user });
  desktop = await warmwind.start(SCREEN);
  await startRecorder();
}, ENGINE_WITHIN_MS);
afterAll(async () => {
  for (const api of apis) await api.stop();
  await warmwind?.close();
  await stack?.remove();
}, 90_000);

const sh = async (script: string): Promise<string> =>
  (await desktop.exec(['sh', '-c', script]).result).stdout;

/** Where the recorder's text area begins on the screen, pixels. */
let origin = { x: 0, y: 0 };

/** Opens a terminal whose program writes all that reaches it to a file: text, and the pointer in pixels. */
async function startRecorder(): Promise<void> {
  const program = "stty raw -echo; printf '\\033[?1003h\\033[?1016h'; touch /tmp/ready; exec cat >/tmp/seen";
  await waitFor('the window manager', async () => (await sh('pgrep -x jwm; true')) !== '', WAIT_MS);
  await desktop.spawn(['xterm', '-geometry', '150x40+0+0', '-e', 'sh', '-c', program]);
  await waitFor('the recorder', async () => (await sh('ls /tmp/ready 2>/dev/null; true')) !== '', WAIT_MS);
  // A click beside the first terminal raises it, and shows where it is.
  const point = { x: 1000, y: 600 };
  const seen = await waitFor(
    'the first click',
    async () => {
      await desktop.click(point.x, point.y);
      return clicksIn(await sh('cat /tmp/seen')).at(-1);
    },
    WAIT_MS,
  );
  origin = { x: point.x - seen.x, y: point.y - seen.y };
}

/** Reports of the pointer, as xterm sends them to a program: all, and those of moves and presses. */
const REPORT = new RegExp(`${String.fromCharCode(27)}\\[<[\\d;]+[Mm]`, 'g');
const PRESS = new RegExp(`${String.fromCharCode(27)}\\[<(\\d+);(\\d+);(\\d+)M`, 'g');

type Click = { button: number; x: number; y: number };
/** @returns the presses of buttons, in pixels from the origin of the recorder */
const clicksIn = (text: string): Click[] =>
  [...text.matchAll(PRESS)]
    .map(([, button, x, y]) => ({ button: Number(button), x: Number(x), y: Number(y) }))
    .filter(({ button }) => button < 32);
/** @returns the text without the pointer's reports */
const textIn = (text: string): string => text.replace(REPORT, '');

/** Runs `work`. @returns what the recorder's program has seen meanwhile */
async function seenDuring(work: () => Promise<unknown>, until: (seen: string) => boolean): Promise<string> {
  const before = (await sh('cat /tmp/seen')).length;
  await work();
  return waitFor('the recorder', async () => {
    const seen = (await sh('cat /tmp/seen')).slice(before);
    return until(seen) ? seen : undefined;
  });
}

/** Expects a click at a point of the picture that the model saw. */
function expectClick(click: Click | undefined, button: number, x: number, y: number): void {
  expect(click?.button).toBe(button);
  const scale = SCREEN.width / SPACE.width;
  expect(Math.abs((click?.x ?? 0) + origin.x - x * scale)).toBeLessThanOrEqual(scale);
  expect(Math.abs((click?.y ?? 0) + origin.y - y * scale)).toBeLessThanOrEqual(scale);
}

async function serve(turns: Parameters<typeof startScriptedApi>[0]): Promise<ScriptedApi> {
  const api = await startScriptedApi(turns);
  apis.push(api);
  return api;
}

/** @returns the size of a PNG in base64, from its header */
function sizeOf(base64: string): { width: number; height: number } {
  const bytes = Buffer.from(base64, 'base64');
  expect(bytes.subarray(1, 4).toString()).toBe('PNG');
  return { width: bytes.readUInt32BE(16), height: bytes.readUInt32BE(20) };
}

/** Runs an example of the guide to its end. @returns its lines */
async function runExample(name: string, env: Record<string, string> = {}): Promise<string[]> {
  const { stdout } = await promisify(execFile)(process.execPath, [join(EXAMPLES, name)], {
    env: { ...process.env, STACK: join(stack.dir, 'stack.json'), ...env },
    timeout: EXAMPLE_MS,
  });
  return stdout.trim().split('\n');
}

it(
  'the example without a model finds a button by its text, clicks it, types and verifies',
  async () => {
    expect(await runExample('find-and-click.ts')).toEqual(['typed 35 characters', 'verified']);
  },
  EXAMPLE_MS,
);

it('files and the clipboard are those that programs of the desktop have', async () => {
  const bytes = Uint8Array.from({ length: 3000 }, (_, n) => n % 256);
  await desktop.files.write('my folder/ü.bin', bytes);
  expect(await sh("wc -c < 'my folder/ü.bin'")).toMatch(/^\s*3000\s*$/);
  expect(await desktop.files.read('my folder/ü.bin')).toEqual(bytes);
  expect(await desktop.files.list('my folder')).toMatchObject([{ name: 'ü.bin', type: 'file', size: 3000 }]);
  expect((await desktop.files.archive('my folder')).length).toBeGreaterThan(3000);
  await desktop.files.remove('my folder');
  const gone = desktop.files.read('my folder/ü.bin');
  await expect(gone).rejects.toMatchObject({ code: 'not_found' });
  await desktop.clipboard.write('Grüße 👋');
  expect(await desktop.clipboard.read()).toBe('Grüße 👋');
});

type AnthropicResult = {
  tool_use_id: string;
  toolset_name: string;
  is_error?: true;
  content: AnthropicBlock[];
};
type AnthropicBlock = { type: string; text?: string; source?: { data: string; media_type: string } };
type AnthropicBody = {
  stream?: boolean;
  tools: { type: string }[];
  messages: { role: string; content: AnthropicResult[] | string }[];
};

/** The model's next message, as the Messages API sends it. */
function message({ stream }: AnthropicBody, uses: [name: string, input: object][]): Reply {
  const content = uses.map(([name, input], index) => ({
    type: 'tool_use',
    id: `toolu_${name}_${index}`,
    name,
    toolset_name: 'computer',
    input,
  }));
  const blocks = content.length > 0 ? content : [{ type: 'text', text: 'Done.' }];
  const stop_reason = content.length > 0 ? 'tool_use' : 'end_turn';
  const head = { id: 'msg_1', type: 'message', role: 'assistant', model: 'scripted', stop_sequence: null };
  const usage = { input_tokens: 1, output_tokens: 1 };
  if (!stream) return { body: { ...head, content: blocks, stop_reason, usage } };
  const data = [
    { type: 'message_start', message: { ...head, content: [], stop_reason: null, usage } },
    ...blocks.flatMap((block, index) => [
      {
        type: 'content_block_start',
        index,
        content_block: 'input' in block ? { ...block, input: {} } : { type: 'text', text: '' },
      },
      {
        type: 'content_block_delta',
        index,
        delta:
          'input' in block
            ? { type: 'input_json_delta', partial_json: JSON.stringify(block.input) }
            : { type: 'text_delta', text: 'Done.' },
      },
      { type: 'content_block_stop', index },
    ]),
    { type: 'message_delta', delta: { stop_reason, stop_sequence: null }, usage: { output_tokens: 1 } },
    { type: 'message_stop' },
  ];
  return { events: data.map((event) => ({ event: event.type, data: event })) };
}

/** @returns the results in the last message; none in the first one, which is text */
function resultsOf({ messages }: AnthropicBody): AnthropicResult[] {
  const { content } = messages.at(-1) ?? {};
  return Array.isArray(content) ? content : [];
}
const imageOf = (result: AnthropicResult | undefined) => sizeOf(result?.content[0]?.source?.data ?? '');

it.each([false, true])(
  'the toolset of the Anthropic SDK acts where the model points (stream: %s)',
  async (stream) => {
    const api = await serve([
      (body: AnthropicBody) => {
        expect(body.tools).toMatchObject([{ type: 'computer_toolset_20260801' }]);
        return message(body, [['screenshot', {}]]);
      },
      (body: AnthropicBody) => {
        expect(imageOf(resultsOf(body)[0])).toEqual(SPACE);
        return message(body, [
          ['left_click', { coordinate: [100, 120] }],
          ['type', { text: 'añ' }],
          ['cursor_position', {}],
        ]);
      },
      (body: AnthropicBody) => {
        const results = resultsOf(body);
        expect(results.map(({ tool_use_id }) => tool_use_id)).toEqual([
          'toolu_left_click_0',
          'toolu_type_1',
          'toolu_cursor_position_2',
        ]);
        expect(results.some(({ is_error }) => is_error)).toBe(false);
        expect(results[2]?.content[0]?.text).toBe('X=100,Y=120');
        return message(body, [
          ['left_click', { coordinate: [9000, 10] }],
          ['type', { text: 'never' }],
        ]);
      },
      (body: AnthropicBody) => {
        const results = resultsOf(body);
        expect(results.map(({ is_error }) => is_error)).toEqual([true, true]);
        expect(results[1]?.content).toMatch(/Not executed/);
        return message(body, [
          ['zoom', { region: [50, 50, 150, 100] }],
          ['right_click', { coordinate: [100, 120] }],
        ]);
      },
      (body: AnthropicBody) => {
        expect(imageOf(resultsOf(body)[0])).toEqual({ width: 200, height: 100 });
        expect(resultsOf(body)[1]?.is_error).toBeUndefined();
        return message(body, [
          ['hold_key', { text: 'b', duration: 0.05 }],
          ['wait', { duration: 0.01 }],
        ]);
      },
      (body: AnthropicBody) => message(body, []),
    ]);
    const client = new Anthropic({ baseURL: api.url, apiKey: 'none', maxRetries: 0 });
    const toolset = new ComputerToolset(desktop, { confirm: () => true, maxSide: MAX_SIDE });
    const seen = await seenDuring(
      async () => {
        const runner = client.beta.messages.toolRunner({
          model: 'scripted',
          max_tokens: 1024,
          stream,
          tools: [toolset],
          messages: [{ role: 'user', content: 'Click and type.' }],
        });
        expect((await runner.runUntilDone()).content).toMatchObject([{ type: 'text', text: 'Done.' }]);
      },
      (text) => textIn(text).includes('b'),
    );
    expect(api.requests).toHaveLength(6);
    const clicks = clicksIn(seen);
    expect(clicks).toHaveLength(2);
    expectClick(clicks[0], 0, 100, 120);
    expectClick(clicks[1], 2, 100, 120);
    expect(textIn(seen)).toMatch(/^añb+$/);
  },
  2 * WAIT_MS,
);

const TEXT = 'Hello from an agent with a model';
/** What the scripted model looks for, and what it does when it has found it. */
const PLAN: [word: string, act: (x: number, y: number) => [name: string, input: object]][] = [
  ['Terminal', () => ['right_click', { coordinate: [820, 480] }]],
  ['Editor', (x, y) => ['left_click', { coordinate: [x, y] }]],
  ['untitled', () => ['type', { text: TEXT }]],
];

it(
  'the example with a model does the same by the stock SDK, on what the model sees',
  async () => {
    let step = 0;
    const api = await serve(async (body: AnthropicBody) => {
      const image = resultsOf(body)
        .flatMap(({ content }) => content ?? [])
        .find(({ type }) => type === 'image');
      if (!image?.source) return message(body, [['screenshot', {}]]);
      const { job } = await warmwind.edge.infer(
        { model: 'ocr-eng', image: image.source.data },
        { waitMs: 10_000 },
      );
      if (!job) throw new Error('The picture was not read in time.');
      const { boxes } = job.result as ReadingResult;
      const [word, act] = PLAN[step] ?? ['agent', undefined];
      const box = boxes.find(({ text }) => text === word);
      if (!box)
        return message(body, [
          ['wait', { duration: 0.2 }],
          ['screenshot', {}],
        ]);
      if (!act) return message(body, []);
      step += 1;
      const [x, y] = [Math.round(box.x + box.width / 2), Math.round(box.y + box.height / 2)];
      return message(body, [act(x, y), ['screenshot', {}]]);
    });
    const lines = await runExample('with-a-model.ts', {
      ANTHROPIC_BASE_URL: api.url,
      ANTHROPIC_API_KEY: 'none',
    });
    expect(lines.at(-1)).toBe('Done.');
    expect(lines).toContain(`type ${JSON.stringify({ text: TEXT })}`);
  },
  EXAMPLE_MS,
);

type OpenAiBody = { stream?: boolean; previous_response_id?: string; tools: object[]; input: OpenAiInput[] };
type OpenAiInput = {
  type?: string;
  call_id: string;
  content?: string;
  output: { image_url: string };
  acknowledged_safety_checks?: object[];
};

/** The model's next response, as the Responses API sends it. */
function response(
  { stream }: OpenAiBody,
  id: string,
  calls: { actions: object[]; checks?: object[] }[],
): Reply {
  const output = calls.map(({ actions, checks = [] }, index) => ({
    type: 'computer_call',
    id: `cu_${index}`,
    call_id: `call_${index}`,
    status: 'completed',
    pending_safety_checks: checks,
    actions,
  }));
  const text = [{ type: 'output_text', text: 'Done.', annotations: [] }];
  const done = [{ type: 'message', id: 'msg', role: 'assistant', status: 'completed', content: text }];
  const body = {
    id,
    object: 'response',
    created_at: 1,
    status: 'completed',
    model: 'scripted',
    output: output.length > 0 ? output : done,
  };
  if (!stream) return { body };
  const data = [
    {
      type: 'response.created',
      sequence_number: 0,
      response: { ...body, status: 'in_progress', output: [] },
    },
    { type: 'response.completed', sequence_number: 1, response: body },
  ];
  return { events: data.map((event) => ({ event: event.type, data: event })) };
}

const urlSize = ({ output }: OpenAiInput) => sizeOf(output.image_url.replace('data:image/png;base64,', ''));
const CHECK = { id: 'sc_1', code: 'irrelevant_domain', message: 'Ask the owner.' };

it.each([false, true])(
  'the loop of the OpenAI SDK carries out batches and answers with pictures (stream: %s)',
  async (stream) => {
    const turns = [
      (body: OpenAiBody) => {
        expect(body.tools).toEqual([{ type: 'computer' }]);
        return response(body, 'resp_1', [{ actions: [{ type: 'screenshot' }] }]);
      },
      (body: OpenAiBody) => {
        expect(body.previous_response_id).toBe('resp_1');
        expect(body.input.map(urlSize)).toEqual([SPACE]);
        return response(body, 'resp_2', [
          {
            checks: [CHECK],
            actions: [
              { type: 'click', button: 'left', x: 100, y: 120 },
              { type: 'type', text: 'añ' },
              { type: 'keypress', keys: ['SHIFT', 'B'] },
            ],
          },
        ]);
      },
      (body: OpenAiBody) => {
        expect(body.input).toMatchObject([
          { type: 'computer_call_output', call_id: 'call_0', acknowledged_safety_checks: [CHECK] },
        ]);
        return response(body, 'resp_3', [
          { actions: [{ type: 'click', button: 'left', x: 9000, y: 1 }] },
          { actions: [{ type: 'type', text: 'never' }] },
        ]);
      },
      (body: OpenAiBody) => {
        expect(body.input.map(({ call_id }) => call_id)).toEqual(['call_0', 'call_1', undefined]);
        expect(body.input[2]?.content).toMatch(/failed/);
        return response(body, 'resp_4', [{ actions: [{ type: 'type', text: 'c' }] }]);
      },
      (body: OpenAiBody) => response(body, 'resp_5', []),
    ];
    const api = await serve(turns);
    const openai = new OpenAI({ baseURL: api.url, apiKey: 'none', maxRetries: 0 });
    const request = { model: 'scripted', input: 'Click and type.' };
    const options = { openai, container: desktop, request, stream, maxSide: MAX_SIDE };
    const asked: object[] = [];
    const onSafetyChecks = (checks: readonly object[]) => asked.push(...checks) > 0;
    const seen = await seenDuring(
      async () => {
        const responses = await Array.fromAsync(openaiTurns({ ...options, onSafetyChecks }));
        expect(responses).toHaveLength(5);
      },
      (text) => textIn(text).includes('c'),
    );
    expect(asked).toEqual([CHECK]);
    const clicks = clicksIn(seen);
    expect(clicks).toHaveLength(1);
    expectClick(clicks[0], 0, 100, 120);
    expect(textIn(seen)).toBe('añBc');

    const unasked = await serve(turns.slice(0, 2));
    const strict = new OpenAI({ baseURL: unasked.url, apiKey: 'none', maxRetries: 0 });
    await expect(Array.fromAsync(openaiTurns({ ...options, openai: strict }))).rejects.toBeInstanceOf(
      SafetyCheckError,
    );
  },
  2 * WAIT_MS,
);

type GeminiPart = {
  functionResponse?: {
    id: string;
    name: string;
    response: { error?: string; safety_acknowledgement?: string };
    parts?: { inlineData: { mimeType: string; data: string } }[];
  };
};
type GeminiBody = { tools: object[]; contents: { role: string; parts: GeminiPart[] }[] };

/** The model's next content, as the Gemini API sends it. */
function content(path: string, calls: [name: string, args: object][]): Reply {
  const parts =
    calls.length > 0
      ? calls.map(([name, args], index) => ({ functionCall: { id: `${name}_${index}`, name, args } }))
      : [{ text: 'Done.' }];
  const body = { candidates: [{ content: { role: 'model', parts }, finishReason: 'STOP' }] };
  return path.includes('streamGenerateContent') ? { events: [{ data: body }] } : { body };
}
const answersOf = ({ contents }: GeminiBody) =>
  contents.at(-1)?.parts.map((part) => part.functionResponse) ?? [];
const DECISION = { decision: 'require_confirmation', explanation: 'Ask the owner.' };

it.each([false, true])(
  'the loop of the Gemini SDK acts on the grid and asks the owner (stream: %s)',
  async (stream) => {
    // A point of the picture in units of the grid.
    const point = { x: (100 / SPACE.width) * 1000, y: (120 / SPACE.height) * 1000 };
    const turns = [
      (body: GeminiBody, path: string) => {
        expect(body.tools).toEqual([{ computerUse: { environment: 'ENVIRONMENT_DESKTOP' } }]);
        return content(path, [['click', { ...point, safety_decision: DECISION, intent: 'to focus' }]]);
      },
      (body: GeminiBody, path: string) => {
        const [answer] = answersOf(body);
        expect(answer).toMatchObject({
          id: 'click_0',
          name: 'click',
          response: { safety_acknowledgement: 'true' },
        });
        expect(sizeOf(answer?.parts?.[0]?.inlineData.data ?? '')).toEqual(SPACE);
        return content(path, [
          ['type', { text: 'añ' }],
          ['press_key', { key: 'no-such-key' }],
          ['type', { text: 'never' }],
        ]);
      },
      (body: GeminiBody, path: string) => {
        const answers = answersOf(body);
        expect(answers.map((answer) => answer?.id)).toEqual(['type_0', 'press_key_1', 'type_2']);
        expect(answers.map((answer) => answer?.response.error !== undefined)).toEqual([false, true, true]);
        return content(path, [['hotkey', { keys: ['shift', 'c'] }]]);
      },
      (_: GeminiBody, path: string) => content(path, []),
    ];
    const api = await serve(turns);
    const genaiAt = (url: string) => new GoogleGenAI({ apiKey: 'none', httpOptions: { baseUrl: url } });
    const contents = [{ role: 'user', parts: [{ text: 'Click and type.' }] }];
    const request = { model: 'scripted', contents };
    const options = { container: desktop, request, stream, maxSide: MAX_SIDE };
    const asked: string[] = [];
    const seen = await seenDuring(
      async () => {
        const onConfirmation = (_: object, explanation: string) => asked.push(explanation) > 0;
        const replies = await Array.fromAsync(
          geminiTurns({ ...options, genai: genaiAt(api.url), onConfirmation }),
        );
        expect(replies.at(-1)?.parts).toEqual([{ text: 'Done.' }]);
      },
      (text) => textIn(text).includes('C'),
    );
    expect(asked).toEqual(['Ask the owner.']);
    const clicks = clicksIn(seen);
    expect(clicks).toHaveLength(1);
    expectClick(clicks[0], 0, 100, 120);
    expect(textIn(seen)).toBe('añC');

    const unasked = await serve(turns.slice(0, 1));
    await expect(
      Array.fromAsync(geminiTurns({ ...options, genai: genaiAt(unasked.url) })),
    ).rejects.toBeInstanceOf(ConfirmationRequiredError);
  },
  2 * WAIT_MS,
);
