import { readFile } from 'node:fs/promises';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { CallToolResult } from '@modelcontextprotocol/sdk/types.js';
import { TOOLS } from '@warmwind/shared/contract/tools';
import { keys } from '@warmwind/shared/engine/keys';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { signToken, startTestEdge, type TestEdge } from '../../infra/local/edge/testing.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { startTestRelay, type TestRelay } from '../testing/relay.ts';

let edge: TestEdge;
let relay: TestRelay;
const clients: Client[] = [];

beforeAll(async () => {
  relay = await startTestRelay();
  edge = await startTestEdge({
    RELAY_URL: relay.url,
    RATE_LIMITS: '{"user": ["30/min"], "containers.start": ["2/min"]}',
    CORS_ORIGINS: 'https://console.test',
  });
});
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
});
afterAll(async () => {
  await edge?.stop();
  await relay?.stop();
});

/** A stock client of the server, with a user's token. */
async function connect(user: string): Promise<Client> {
  const client = new Client({ name: 'test', version: '1' });
  clients.push(client);
  const headers = { Authorization: `Bearer ${await signToken({ sub: user })}` };
  await client.connect(
    new StreamableHTTPClientTransport(new URL('/mcp', edge.url), { requestInit: { headers } }),
  );
  return client;
}

/** The text of a result, as JSON. */
function textOf({ content }: CallToolResult): Record<string, unknown> {
  const [block] = content;
  if (block?.type !== 'text') throw new Error('no text');
  return JSON.parse(block.text);
}
const call = async (client: Client, name: string, given: Record<string, unknown> = {}) =>
  (await client.callTool({ name, arguments: given })) as CallToolResult;

const message = (method: string, params: object = {}) => ({ jsonrpc: '2.0', id: 1, method, params });
const post = (body: unknown, headers: Record<string, string> = {}, user: string | undefined = 'raw') =>
  edge.call(user, 'POST', '/mcp', { body, headers });

test('every tool is listed with a description, a schema of its arguments and hints', async () => {
  const client = await connect('ada');
  expect(client.getServerVersion()).toMatchObject({ name: 'warmwind' });
  const { tools } = await client.listTools();
  expect(tools.map(({ name }) => name)).toEqual(TOOLS.map(({ name }) => name));
  const ajv = new Ajv2020({ strict: false });
  for (const { name, description, inputSchema, annotations } of tools) {
    expect([name, description]).toEqual([name, expect.stringMatching(/^[A-Z].*\.$/)]);
    ajv.compile(inputSchema);
    expect([name, inputSchema]).toMatchObject([name, { type: 'object', additionalProperties: false }]);
    for (const [field, schema] of Object.entries(inputSchema.properties ?? {})) {
      expect([name, field, schema]).toMatchObject([name, field, { description: expect.any(String) }]);
    }
    expect(Object.values(annotations ?? {})).not.toContain(undefined);
  }
});

test('the guide names every tool', async () => {
  const guide = await readFile(new URL('../../docs/guides/mcp.md', import.meta.url), 'utf8');
  expect(TOOLS.map(({ name }) => name).filter((name) => !guide.includes(`| \`${name}\``))).toEqual([]);
});

test('a tool answers with the fields of its route, and never with what belongs to another user', async () => {
  const { containerId } = (await edge.call('owner', 'POST', '/containers/start')).body;
  const listed = await call(await connect('owner'), 'list_containers', { limit: 5 });
  expect(listed.structuredContent).toMatchObject({ items: [{ id: containerId, state: 'requested' }] });
  expect(textOf(listed)).toEqual(listed.structuredContent);
  const stranger = await connect('stranger');
  expect((await call(stranger, 'list_containers')).structuredContent).toMatchObject({ items: [] });
  const stopped = await call(stranger, 'stop_container', { containerId });
  expect([stopped.isError, textOf(stopped)]).toMatchObject([true, { code: 'not_found' }]);
  expect((await edge.call('owner', 'GET', `/containers/${containerId}`)).body.state).toBe('requested');
});

test('a tool waits for its job, reports its progress, and returns the result of the job', async () => {
  const client = await connect('waits');
  const progress: unknown[] = [];
  const called = client.callTool({ name: 'start_container', arguments: { name: 'Mine' } }, undefined, {
    onprogress: (report) => progress.push(report),
  });
  const jobId = await waitFor('the job to be followed', () => {
    const [, , id] = relay.asked.find(({ user }) => user === 'waits')?.path.split('/') ?? [];
    return id;
  });
  const { containerId } = (await edge.call('waits', 'GET', `/jobs/${jobId}`)).body;
  const publish = (id: string, type: string, more: object) => {
    const data = { jobId, kind: 'container.start', containerId, ...more };
    const event = { id, room: `job:${jobId}`, type, run: 1, time: new Date(0).toISOString(), data };
    relay.send(`id: ${id}\ndata: ${JSON.stringify(event)}\n\n`);
  };
  publish('1-1', 'job.progress', { percent: 40, message: 'Creating' });
  const result = { containerId, width: 1280, height: 720 };
  await edge.gateway.redis.client.hset(keys.job('waits', jobId), {
    state: 'completed',
    result: JSON.stringify(result),
  });
  publish('2-1', 'job.completed', { result });
  const { structuredContent, isError } = await called;
  expect([isError, structuredContent]).toEqual([
    undefined,
    { jobId, containerId, kind: 'container.start', state: 'completed', result },
  ]);
  expect(progress).toEqual([{ progress: 40, total: 100, message: 'Creating' }]);
});

test('wrong arguments are a failed result with each issue, and nothing happens', async () => {
  const client = await connect('wrong');
  const failed = await call(client, 'start_container', { width: 1, colour: 'red' });
  expect([failed.isError, textOf(failed)]).toMatchObject([true, { code: 'bad_request' }]);
  expect(JSON.stringify(textOf(failed).issues)).toMatch(/"width".*"colour"/);
  for (const containerId of ['..', '../jobs', 'a b', '', 'x'.repeat(65), 7, null]) {
    expect(textOf(await call(client, 'screenshot', { containerId }))).toMatchObject({ code: 'bad_request' });
  }
  expect((await call(client, 'list_containers')).structuredContent).toMatchObject({ items: [] });
  await expect(call(client, 'format_disk')).rejects.toMatchObject({ code: -32602 });
});

test('a tool is limited as its route is, and says when to call again', async () => {
  const client = await connect('busy');
  const { remaining: before } = await remainingOf('busy');
  const answers = [];
  for (let n = 0; n < 3; n++)
    answers.push(await call(client, 'start_container', { width: n === 0 ? 1 : 800, idleSeconds: 5 }));
  expect(textOf(answers[2] as CallToolResult)).toMatchObject({
    code: 'rate_limited',
    message: expect.stringContaining('try again in'),
    retryAfterMs: expect.any(Number),
  });
  expect((await remainingOf('busy')).remaining).toBe(before - 2);
  // A message that is no call of a tool, or no message at all, is counted as any other request.
  expect((await post('{', {}, 'busy')).status).toBe(400);
  for (let n = 0; n < before - 3; n++) expect((await post(message('ping'), {}, 'busy')).status).toBe(200);
  expect((await post(message('ping'), {}, 'busy')).body).toMatchObject({ code: 'rate_limited' });
});

async function remainingOf(user: string): Promise<{ remaining: number }> {
  const { tiers } = (await edge.call(user, 'GET', '/limits')).body as { tiers: { remaining: number }[] };
  return { remaining: tiers[0]?.remaining ?? Number.NaN };
}

test('without a valid token it is 401 with a challenge, and the stock client fails with that', async () => {
  const expired = await signToken({ exp: Math.floor(Date.now() / 1000) - 600 });
  const forged = await signToken({}, 'another-secret-0123456789-0123456789-0123');
  for (const token of [undefined, expired, forged, 'x']) {
    const headers: Record<string, string> = token === undefined ? {} : { Authorization: `Bearer ${token}` };
    const answer = await edge.call(undefined, 'POST', '/mcp', { body: message('tools/list'), headers });
    expect([answer.status, answer.body.code]).toEqual([401, 'unauthenticated']);
    expect(answer.headers.get('WWW-Authenticate')).toMatch(/^Bearer realm="warmwind"/);
    const transport = new StreamableHTTPClientTransport(new URL('/mcp', edge.url), {
      requestInit: { headers },
    });
    const client = new Client({ name: 'test', version: '1' });
    await expect(client.connect(transport)).rejects.toMatchObject({ code: 401 });
  }
});

test('a page of an origin that is not configured is refused, before anything happens', async () => {
  const start = message('tools/call', { name: 'start_container', arguments: {} });
  for (const Origin of ['https://evil.test', edge.url, 'null']) {
    const answer = await post(start, { Origin }, 'page');
    expect([Origin, answer.status, answer.body.code]).toEqual([Origin, 403, 'forbidden']);
  }
  expect((await edge.call('page', 'GET', '/containers')).body.items).toEqual([]);
  const allowed = await post(message('ping'), { Origin: 'https://console.test' }, 'page');
  expect([allowed.status, allowed.headers.get('Access-Control-Allow-Origin')]).toEqual([
    200,
    'https://console.test',
  ]);
});

test('it offers no session and no stream of its own: GET and DELETE are 405', async () => {
  for (const method of ['GET', 'DELETE']) {
    const answer = await edge.call('raw', method, '/mcp', { headers: { Accept: 'text/event-stream' } });
    expect([answer.status, answer.headers.get('Allow')]).toEqual([405, 'POST']);
  }
  const { headers } = await post(message('ping'));
  expect(headers.get('Mcp-Session-Id')).toBeNull();
});

test('versions of the protocol: those of the stock client are accepted, another one is 400', async () => {
  const version = (text: string) => post(message('ping'), { 'MCP-Protocol-Version': text });
  expect((await version('2025-06-18')).status).toBe(200);
  const refused = await version('1999-01-01');
  expect([refused.status, refused.body.issues]).toEqual([
    400,
    [expect.objectContaining({ path: 'mcp-protocol-version' })],
  ]);
});

test.each([
  ['a batch', [message('ping')]],
  ['no JSON-RPC', { method: 'ping' }],
  ['another version of JSON-RPC', { ...message('ping'), jsonrpc: '1.0' }],
  ['a reply', { jsonrpc: '2.0', id: 1, result: {} }],
  ['a body that is not JSON', '{'],
])('%s is refused with 400', async (_name, body) => {
  expect((await post(body)).body).toMatchObject({ statusCode: 400, code: 'bad_request' });
});

test('a notification is 202, an unknown method an error of the protocol', async () => {
  const { id, ...notification } = message('notifications/initialized');
  expect((await post(notification)).status).toBe(202);
  expect((await post(message('resources/list'))).body).toMatchObject({ id, error: { code: -32601 } });
});

test('a body above 1.5 MB is refused', async () => {
  const large = message('tools/call', { name: 'screenshot', arguments: { x: 'x'.repeat(1.6 * 2 ** 20) } });
  expect((await post(large)).status).toBe(413);
});
