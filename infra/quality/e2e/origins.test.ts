import type { Server } from 'node:http';
import { keys } from '@warmwind/shared/engine/keys';
import { appendEvents } from '@warmwind/shared/engine/node/event-log';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { TestHost } from '../../../relay/testing/host.ts';
import { SECRET, type TestNode, ticket, World } from '../../../relay/testing/world.ts';
import { signToken, startTestEdge, type TestEdge } from '../../local/edge/testing.ts';
import { storedEvent } from '../testing/events.ts';
import { freePort } from '../testing/port.ts';
import { waitFor } from '../testing/wait.ts';
import { isLive, launch } from './browser.ts';
import { bundlePage, FILLED, servePage } from './page.ts';

/** A customer's page: a stock SDK, a viewer, a frame. */
const PAGE = `<!doctype html><div id="screen" style="width: 640px; height: 360px"></div>
<script type="module" src="/page.js"></script>`;
const SCRIPT = `
import OpenAI from 'openai';
import { connect } from '@warmwind/shared/client/client';
import { createViewer } from '@warmwind/shared/client/viewer';
globalThis.ask = async (baseURL, apiKey) => {
  const openai = new OpenAI({ baseURL, apiKey, dangerouslyAllowBrowser: true, maxRetries: 0 });
  const models = (await openai.models.list()).data.map(({ id }) => id);
  const messages = [{ role: 'user', content: 'hello' }];
  const stream = await openai.chat.completions.create({ model: 'desk-tiny', messages, stream: true });
  let text = '';
  for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? '';
  const refused = await openai.chat.completions.create({ model: 'desk-tiny', messages: [] }).catch((error) => error);
  return { models, text, refused: refused.status, requestId: refused.requestID };
};
globalThis.show = (url, token, containerId) => {
  createViewer(document.querySelector('#screen'), { relay: connect({ url, token: () => token }), containerId });
};
globalThis.frame = (src) => {
  const frame = document.createElement('iframe');
  Object.assign(frame, { src, width: 800, height: 600 });
  document.body.append(frame);
};`;

let world: World;
let node: TestNode;
let edge: TestEdge;
let browser: Browser;
const servers: Server[] = [];
/** The URLs of a permitted origin and of one that is not. */
let permitted: string;
let foreign: string;
let id: string;
const pages: Page[] = [];

beforeAll(async () => {
  const script = await bundlePage(SCRIPT);
  const ports = [await freePort(), await freePort()];
  for (const port of ports) servers.push(servePage(port, PAGE, script));
  [permitted = '', foreign = ''] = ports.map((port) => `http://127.0.0.1:${port}`);
  [world, browser] = await Promise.all([World.start(), launch()]);
  const relayPort = await freePort();
  edge = await startTestEdge(
    { RELAY_URL: `http://127.0.0.1:${relayPort}`, AUTH_SECRET: SECRET, CORS_ORIGINS: permitted },
    { ledger: false },
  );
  const env = { CORS_ORIGINS: permitted, EDGE_ORIGINS: edge.url, REDIS_QUEUE_URL: edge.gateway.redis.url };
  node = await world.node(env, relayPort);
  id = '5f0c7a52-8f0e-4c59-9b1f-0e9a6f1d7c33';
  await edge.gateway.redis.client.hset(keys.container('ann', id), { id, state: 'running', createdAt: '1' });
  await TestHost.start(world, id, FILLED);
}, 120_000);
afterEach(async () => {
  for (const page of pages.splice(0)) await page.close();
});
afterAll(async () => {
  await browser?.close();
  for (const server of servers) server.close();
  await edge?.stop();
  await world?.stop();
});

const open = async (url: string): Promise<Page> => {
  const page = await browser.newPage();
  pages.push(page);
  await page.goto(url);
  return page;
};
/**
 * Opens a customer's page and waits until its script has run: no event reports that its decoders are ready.
 */
const openOwn = async (origin: string): Promise<Page> => {
  const page = await open(origin);
  await page.waitForFunction(() => 'ask' in globalThis);
  return page;
};
type Globals = {
  ask: (url: string, key: string) => Promise<object>;
  show: (url: string, token: string, id: string) => void;
  frame: (src: string) => void;
};
const share = async () => {
  const token = await ticket('ann', { containerId: id });
  return `${edge.url}/#${new URLSearchParams({ watch: id, relay: node.url, ticket: token })}`;
};

test('the stock openai client works in a page of a permitted origin, also with streams', async () => {
  const page = await openOwn(permitted);
  const { client } = edge.gateway.redis;
  await client.zadd(keys.models(), Date.now() + 60_000, 'host desk-tiny');
  const asked = page.evaluate(
    ([url = '', key = '']) => (globalThis as unknown as Globals).ask(url, key),
    [`${edge.url}/v1`, await signToken({ sub: 'ann' }, SECRET)],
  );
  const [jobId] = await waitFor('the job', async () => {
    const ids = await client.zrange(keys.jobs('ann'), '0', '-1');
    return ids.length > 0 && ids;
  });
  const event = (type: 'job.output' | 'job.completed', data: object) => storedEvent(type, { jobId, ...data });
  const result = { text: 'Hello!', finishReason: 'stop', usage: { inputTokens: 1, outputTokens: 1 } };
  await appendEvents(world.realtime.client, { userId: 'ann', room: `job:${jobId}` }, [
    { event: event('job.output', { attempt: 1, text: 'Hello!' }), token: 'a' },
    { event: event('job.completed', { result }), token: 'b' },
  ]);
  expect(await asked).toEqual({
    models: expect.arrayContaining(['desk-tiny']),
    text: 'Hello!',
    refused: 400,
    requestId: expect.stringMatching(/^[\w-]+$/),
  });
});

test('a page of an origin that is not permitted receives the reason, and does not wait forever', async () => {
  const page = await openOwn(foreign);
  await page.evaluate(
    ([url = '', token = '', containerId = '']) =>
      (globalThis as unknown as Globals).show(url, token, containerId),
    [node.url, await ticket('ann'), id],
  );
  await page.getByText(`${foreign}, is not permitted: add it to CORS_ORIGINS`).waitFor();
});

test('a share link is live at the edge’s own address, by both names of this machine', async () => {
  for (const link of [await share(), (await share()).replace('127.0.0.1', 'localhost')]) {
    await isLive(await open(link));
  }
});

test('a share link is live in a frame of a permitted page, and the console is not shown there', async () => {
  const page = await openOwn(permitted);
  await page.evaluate((src) => (globalThis as unknown as Globals).frame(src), await share());
  const frame = page.frameLocator('iframe');
  await frame.locator('.viewer[data-state=live] canvas').waitFor();
  const other = await openOwn(permitted);
  await other.evaluate((src) => (globalThis as unknown as Globals).frame(src), `${edge.url}/`);
  await other.frameLocator('iframe').getByText('Only shared screens are shown within other pages.').waitFor();
  expect(await other.frameLocator('iframe').getByLabel('Access token').count()).toBe(0);
});

test('a page of another origin cannot frame a share link', async () => {
  const page = await openOwn(foreign);
  const refused: string[] = [];
  page.on('console', (message) => refused.push(message.text()));
  await page.evaluate((src) => (globalThis as unknown as Globals).frame(src), await share());
  await waitFor('the browser to refuse', () => refused.some((text) => text.includes('frame-ancestors')));
  expect(await page.frameLocator('iframe').locator('.viewer').count()).toBe(0);
});
