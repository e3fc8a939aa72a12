import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { CallToolResult } from '@modelcontextprotocol/sdk/types.js';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ENGINE_WITHIN_MS, startEngine } from '../testing/docker.ts';
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

test('the screenshot is a picture of the screen in its format', async () => {
  const taken = await call(owner, 'screenshot', { containerId });
  const image = taken.content.find((block) => block.type === 'image');
  if (image?.type !== 'image') throw new Error(JSON.stringify(taken));
  const { format, width, height } = await sharp(Buffer.from(image.data, 'base64')).metadata();
  expect([image.mimeType, format, width, height]).toEqual(['image/jpeg', 'jpeg', 1920, 1080]);
});

test('the text on the screen is read, each word with its place', async () => {
  const { result } = await call(owner, 'read_text', { containerId });
  // The clock in the panel.
  expect(result).toMatchObject({
    text: expect.stringMatching(/\d\d:\d\d/),
    width: 1920,
    boxes: expect.arrayContaining([expect.objectContaining({ text: expect.stringMatching(/\d\d:\d\d/) })]),
  });
});

test('a stranger is refused every tool on the desktop, and it keeps running', async () => {
  for (const name of ['screenshot', 'read_text', 'stop_container']) {
    expect([name, await call(stranger, name, { containerId })]).toMatchObject([
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
