import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { CallToolResult } from '@modelcontextprotocol/sdk/types.js';
import { TOOLS } from '@warmwind/shared/contract/tools';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ENGINE_WITHIN_MS, startEngine } from '../testing/docker.ts';
import { waitFor } from '../testing/wait.ts';
import { edgeOf } from './client.ts';
import { createStack, type TestStack } from './stack.ts';

let stack: TestStack;
let owner: Client;
let stranger: Client;
let containerId: string;

beforeAll(async () => {
  await startEngine();
  stack = createStack({ RATE_LIMITS: '{"user": [], "ip": [], "containers.start": []}', MODEL_SERVER: 'off' });
  await stack.start();
  const { tokens } = stack.file();
  owner = await connect(tokens.user);
  stranger = await connect(tokens.other);
}, ENGINE_WITHIN_MS);
afterAll(async () => {
  await owner?.close();
  await stranger?.close();
  await stack?.remove();
}, 90_000);

/** A stock client of the edge's MCP server. */
async function connect(token: string): Promise<Client> {
  const client = new Client({ name: 'test', version: '1' });
  const headers = { Authorization: `Bearer ${token}` };
  const url = new URL('/mcp', stack.file().edge);
  await client.connect(new StreamableHTTPClientTransport(url, { requestInit: { headers } }));
  return client;
}

type Called = { content: CallToolResult['content']; [field: string]: unknown };

/** Calls a tool; `failed` has its failure. */
async function call(client: Client, name: string, given: Record<string, unknown> = {}): Promise<Called> {
  const { content, structuredContent, isError } = (await client.callTool({
    name,
    arguments: given,
  })) as CallToolResult;
  const text = content.flatMap((block) => (block.type === 'text' ? [block.text] : [])).join('');
  if (isError) return { failed: JSON.parse(text), content };
  return { ...structuredContent, content };
}

test('a model starts a desktop, and progress is reported until it runs', async () => {
  const progress: number[] = [];
  const started = (await owner.callTool(
    { name: 'start_container', arguments: { name: 'Mine', width: 1920, height: 1080 } },
    undefined,
    { onprogress: ({ progress: percent }) => progress.push(percent) },
  )) as CallToolResult;
  expect(started.structuredContent).toMatchObject({
    containerId: expect.any(String),
    state: 'completed',
    result: { width: 1920, height: 1080 },
  });
  containerId = String(started.structuredContent?.containerId);
  expect(progress).toEqual(progress.toSorted((a, b) => a - b));
  expect(progress.length).toBeGreaterThan(0);
  expect(await call(owner, 'list_containers', { state: 'running' })).toMatchObject({
    items: [{ id: containerId, name: 'Mine', state: 'running' }],
  });
});

/** The size of a picture among the content of a result. */
async function sizeOf({ content }: Called): Promise<[string, number, number]> {
  const image = content.find((block) => block.type === 'image');
  if (image?.type !== 'image') throw new Error('no picture');
  const { format, width, height } = await sharp(Buffer.from(image.data, 'base64')).metadata();
  expect(image.mimeType).toBe(`image/${format}`);
  return [format, width, height];
}

test('the screenshot is a picture that fits every model, with its size and that of the screen', async () => {
  const taken = await call(owner, 'screenshot', { containerId });
  expect(taken).toMatchObject({ width: 1568, height: 882, screenWidth: 1920, screenHeight: 1080 });
  expect(await sizeOf(taken)).toEqual(['jpeg', 1568, 882]);
  const part = await call(owner, 'screenshot', { containerId, region: '0,0,300,200', format: 'png' });
  expect(await sizeOf(part)).toEqual(['png', 300, 200]);
});

test('a model runs programs, and acts on their windows by points in the picture that it saw', async () => {
  const failed = await call(owner, 'exec', {
    containerId,
    cmd: ['sh', '-c', 'echo out; echo err >&2; exit 3'],
  });
  expect(failed).toMatchObject({
    state: 'completed',
    result: { exitCode: 3, stdout: 'out\n', stderr: 'err\n' },
  });
  const terminal = ['xterm', '-geometry', '80x24+960+400', '-e', 'cat > "$HOME/typed"'];
  await call(owner, 'exec', { containerId, cmd: terminal, background: true });
  await waitFor('the program', async () => {
    const seen = await call(owner, 'exec', { containerId, cmd: ['test', '-e', '/home/user/typed'] });
    return (seen.result as { exitCode: number }).exitCode === 0;
  });
  const space = { width: 1568, height: 882 };
  // 1100, 550 on the screen, in the pixels of the picture.
  const [x, y] = [(1100 * 1568) / 1920, (550 * 882) / 1080];
  const acted = await call(owner, 'act', {
    containerId,
    space,
    actions: [
      { type: 'click', x, y },
      { type: 'type', text: 'Grüße 你好\n' },
      { type: 'key', keys: 'ctrl+d' },
    ],
  });
  expect(acted).toMatchObject({
    results: [{ ok: true }, { ok: true, changed: true, delivered: 9 }, { ok: true }],
    screenshot: space,
  });
  expect(await sizeOf(acted)).toEqual(['jpeg', 1568, 882]);
  const read = await call(owner, 'exec', { containerId, cmd: ['cat', '/home/user/typed'] });
  expect(read.result).toMatchObject({ stdout: 'Grüße 你好\n' });
  const wrong = await call(owner, 'act', { containerId, actions: [{ type: 'click', x: 9999, y: 1 }] });
  expect(wrong).toMatchObject({ failed: { code: 'bad_request' } });
});

test('the clipboard is written for programs and read as they copied', async () => {
  expect(await call(owner, 'write_clipboard', { containerId, text: 'Grüße 👋' })).toMatchObject({
    bytes: 12,
  });
  const pasted = await call(owner, 'exec', { containerId, cmd: ['xclip', '-selection', 'clipboard', '-o'] });
  expect(pasted.result).toMatchObject({ stdout: 'Grüße 👋' });
  expect(await call(owner, 'read_clipboard', { containerId })).toMatchObject({ text: 'Grüße 👋' });
});

test('files are written, listed, read and deleted, as text and as bytes', async () => {
  const path = 'reports/Größe 1\nüber.txt';
  const bytes = Buffer.from([0, 255, 254, 128]).toString('base64');
  expect(await call(owner, 'write_file', { containerId, path, text: 'Grüße\n' })).toMatchObject({
    done: true,
  });
  await call(owner, 'write_file', { containerId, path: 'raw', base64: bytes });
  const seen = await call(owner, 'exec', { containerId, cmd: ['cat', `/home/user/${path}`] });
  expect(seen.result).toMatchObject({ stdout: 'Grüße\n' });
  expect(await call(owner, 'read_file', { containerId, path })).toMatchObject({ bytes: 8, text: 'Grüße\n' });
  expect(await call(owner, 'read_file', { containerId, path: 'raw' })).toMatchObject({ base64: bytes });
  const { items } = await call(owner, 'list_files', { containerId });
  expect(items).toContainEqual(expect.objectContaining({ name: 'raw', type: 'file', size: 4 }));
  await call(owner, 'exec', { containerId, cmd: ['sh', '-c', 'head -c 2000000 /dev/zero > large'] });
  expect(await call(owner, 'read_file', { containerId, path: 'large' })).toMatchObject({
    failed: { code: 'payload_too_large' },
  });
  await call(owner, 'delete_file', { containerId, path: 'raw' });
  expect(await call(owner, 'read_file', { containerId, path: 'raw' })).toMatchObject({
    failed: { code: 'not_found' },
  });
  for (const outside of ['../../jobs', 'a/../../../../limits', '.']) {
    expect(await call(owner, 'read_file', { containerId, path: outside })).toMatchObject({
      failed: { code: 'bad_request' },
    });
  }
});

test('a process in the background is listed and ended', async () => {
  const started = await call(owner, 'exec', { containerId, cmd: ['sleep', '3600'], background: true });
  const { processId } = started.result as { processId: string };
  const { items } = await call(owner, 'list_processes', { containerId });
  expect(items).toContainEqual(expect.objectContaining({ id: processId, state: 'running' }));
  expect(await call(owner, 'end_process', { containerId, processId })).toMatchObject({ processId });
});

test('the text on the screen is read, each word with its place', async () => {
  const { result } = await call(owner, 'read_text', { containerId });
  // Of the first terminal's lines.
  expect(result).toMatchObject({
    text: expect.stringContaining('Debian'),
    width: 1920,
    boxes: expect.arrayContaining([expect.objectContaining({ text: 'Debian' })]),
  });
});

test('a stranger is refused every tool on the desktop, and it keeps running', async () => {
  for (const { name, example } of TOOLS.filter(({ input }) => 'containerId' in input.shape)) {
    expect([name, await call(stranger, name, { ...example, containerId })]).toMatchObject([
      name,
      { failed: { code: 'not_found' } },
    ]);
  }
  expect(await call(stranger, 'list_containers')).toMatchObject({ items: [] });
  expect(await edgeOf(stack.file()).getContainer(containerId)).toMatchObject({ state: 'running' });
});

test('a model stops the desktop, and the result comes when nothing of it runs', async () => {
  expect(await call(owner, 'stop_container', { containerId })).toMatchObject({ state: 'completed' });
  expect(await edgeOf(stack.file()).getContainer(containerId)).toMatchObject({ state: 'stopped' });
  expect(await call(owner, 'screenshot', { containerId })).toMatchObject({
    failed: { code: 'conflict', message: expect.stringContaining('start another') },
  });
});
