import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { CallToolResult } from '@modelcontextprotocol/sdk/types.js';
import { FleetHosts } from '@warmwind/shared/contract/admin';
import { TOOLS } from '@warmwind/shared/contract/tools';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ENGINE_WITHIN_MS, startEngine } from '../testing/docker.ts';
import { EVENT_CASES, type EventCase } from './events.ts';
import { relayCases, STREAM_PATHS, upgrade } from './relay.ts';
import { filled, type Route, type RouteCase, routesOf } from './routes.ts';
import { MALFORMED, randomId, SECRET, startTenants, type Tenant, type Tenants, type Thing } from './world.ts';

let tenants: Tenants;
let owner: Tenant;
let stranger: Tenant;
let routes: Route[];
/** What the owner sees of all that the owner has, before anything is tried. */
let before: unknown;

beforeAll(async () => {
  await startEngine();
  tenants = await startTenants();
  ({ owner, stranger } = tenants);
  routes = routesOf((await owner.edge.request<Parameters<typeof routesOf>[0]>('GET', '/openapi.json')).body);
  before = await seenByOwner();
}, ENGINE_WITHIN_MS);
afterAll(() => tenants?.stop(), 90_000);

type Sent = ReturnType<RouteCase['request']>;

/** Sends a request to the edge with a user's token. */
const ask = ({ token }: Tenant, method: string, sent: Sent): Promise<Response> =>
  send(tenants.stack.file().edge, token, method, sent);

const send = (url: string, token: string, method: string, { path, body }: Sent): Promise<Response> =>
  fetch(url + path, {
    method: method.toUpperCase(),
    headers: { Authorization: `Bearer ${token}`, ...(body ? { 'Content-Type': body.type } : {}) },
    ...(body ? { body: body.text } : {}),
    signal: AbortSignal.timeout(30_000),
  });

/** Answers of every route that reads something by its id, and of the list of jobs. */
async function seenByOwner(): Promise<unknown> {
  const reads = routes.filter(
    ({ method, isJson, parameters }) =>
      method === 'get' &&
      isJson &&
      parameters.length > 0 &&
      parameters.every(({ thing }) => thing !== 'public'),
  );
  expect(reads.length).toBeGreaterThanOrEqual(3);
  const paths = reads.map(({ path, parameters }) =>
    filled(path, parameters, ({ thing }) => owner.ids[thing as Thing]),
  );
  const seen: [string, unknown][] = [];
  const files = `/containers/${owner.ids.container}/files/`;
  for (const path of [...paths, files, '/jobs', '/containers', '/realtime/tokens']) {
    const answer = await ask(owner, 'get', { path });
    expect([path, answer.status]).toEqual([path, 200]);
    const answered: unknown = await answer.json();
    // A measurement differs each time.
    seen.push([path, path.endsWith('/metrics') ? 'measured' : answered]);
  }
  return seen;
}

/** What no answer to a stranger may hold. */
const isPrivate = (text: string, asked: string): boolean =>
  [SECRET, ...Object.values(owner.ids)].some((secret) => secret !== asked && text.includes(secret));

/** The ids that are tried, and the codes with which they may be refused. */
const tried = (thing: Thing): [what: string, id: string, codes: string[]][] => [
  ['foreign', owner.ids[thing], ['not_found']],
  ['random', randomId(thing), ['not_found']],
  ...MALFORMED.map((id): [string, string, string[]] => [`malformed ${id}`, id, ['not_found', 'bad_request']]),
];

/** Sends every case with ids that are not the stranger's. @returns those that were not refused as they must be */
async function notRefused(
  cases: readonly RouteCase[],
  ask: (method: string, sent: Sent) => Promise<Response>,
): Promise<unknown[]> {
  const wrong: unknown[] = [];
  for (const { name, method, thing, request } of cases) {
    for (const [what, id, codes] of tried(thing)) {
      const answer = await ask(method, request(id, stranger.ids));
      const text = await answer.text();
      const { code } = JSON.parse(text.startsWith('{') ? text : '{}') as { code?: string };
      const isRefused = codes.includes(code ?? '') || (UNRECORDED.includes(name) && answer.status === 204);
      if (!isRefused || isPrivate(text, id)) wrong.push([name, what, answer.status, text.slice(0, 200)]);
    }
  }
  return wrong;
}

/** Tickets are not recorded: any id is revoked, but only among those of its caller. */
const UNRECORDED = ['DELETE /realtime/tokens/{id} id'];

test('no route reaches what belongs to another user, whatever part of it names that', async () => {
  const cases = routes.flatMap((route) => route.cases);
  expect(cases.length).toBeGreaterThanOrEqual(10);
  expect(await notRefused(cases, (method, sent) => ask(stranger, method, sent))).toEqual([]);
}, 60_000);

test('no route of the relay reaches what belongs to another user', async () => {
  const cases = await relayCases(tenants.stack.file());
  expect(cases.length).toBeGreaterThanOrEqual(5);
  const { relay } = tenants.stack.file();
  expect(await notRefused(cases, (method, sent) => send(relay, stranger.ticket, method, sent))).toEqual([]);
}, 60_000);

test('no WebSocket of the relay reaches what belongs to another user', async () => {
  const { relay } = tenants.stack.file();
  for (const path of STREAM_PATHS) {
    for (const id of [owner.ids.container, randomId('container')]) {
      expect([path, id, await upgrade(relay + path.replace('{id}', id), stranger.ticket)]).toEqual([
        path,
        id,
        404,
      ]);
    }
    for (const id of MALFORMED) {
      const url = relay + path.replace('{id}', encodeURIComponent(id));
      expect([path, id, await upgrade(url, stranger.ticket)]).not.toEqual([path, id, 101]);
    }
    expect(await upgrade(relay + path.replace('{id}', stranger.ids.container), stranger.ticket)).toBe(101);
  }
});

test('a part of a desktop is not reached by the desktop of another user', async () => {
  const nested = routes.filter(({ parameters }) => parameters.length > 1).flatMap((route) => route.cases);
  const parts = nested.filter(({ thing }) => thing !== 'container');
  expect(parts.length).toBeGreaterThan(0);
  for (const { name, method, thing, request } of parts) {
    const others = { ...stranger.ids, container: owner.ids.container };
    expect([name, (await ask(stranger, method, request(owner.ids[thing], others))).status]).toEqual([
      name,
      404,
    ]);
  }
});

const isAdmin = ({ path }: Route): boolean => path.startsWith('/admin/');

test('no route of administrators answers a user, whatever is named', async () => {
  const { stack } = tenants;
  const hosts = await send(stack.file().edge, stack.file().tokens.admin, 'get', { path: '/admin/hosts' });
  const { items } = FleetHosts.parse(await hosts.json());
  const versions = { worker: expect.any(String), engine: expect.any(String) };
  expect(items.length).toBeGreaterThan(0);
  for (const host of items)
    expect(host).toMatchObject({ state: 'live', versions, images: expect.any(Array) });
  expect(items.reduce((sum, { containers }) => sum + containers, 0)).toBe(2);
  const admin = routes.filter(isAdmin);
  expect(admin.length).toBeGreaterThanOrEqual(6);
  for (const { method, path, parameters } of admin) {
    for (const id of [items[0]?.id ?? '', 'user-1', 'nothing']) {
      const sent = { path: filled(path, parameters, () => id) };
      const answer = await ask(stranger, method, sent);
      expect([method, path, answer.status, ((await answer.json()) as { code: string }).code]).toEqual([
        method,
        path,
        403,
        'admin_required',
      ]);
    }
  }
  const after = await send(stack.file().edge, stack.file().tokens.admin, 'get', { path: '/admin/hosts' });
  expect(((await after.json()) as { items: object[] }).items).toMatchObject(
    items.map(({ id }) => ({ id, state: 'live' })),
  );
});

test('no route without an id shows what belongs to another user', async () => {
  for (const { method, path } of routes.filter(
    (route) => route.method === 'get' && route.parameters.length === 0 && !isAdmin(route),
  )) {
    const answer = await ask(stranger, method, { path });
    expect([path, answer.status, isPrivate(await answer.text(), '')]).toEqual([path, 200, false]);
  }
});

test('no event of the socket reaches what belongs to another user', async () => {
  const { socket } = stranger;
  const received: unknown[] = [];
  socket.onAny((...args) => received.push(args));
  const send = async ({ event, argument, refusal }: EventCase, id: string) => {
    if (refusal === 'none') {
      socket.emit(event, argument(id));
      return undefined;
    }
    return socket.timeout(10_000).emitWithAck(event, argument(id));
  };
  const wrong: unknown[] = [];
  for (const each of EVENT_CASES) {
    for (const [what, id, codes] of tried(each.thing)) {
      const answer = await send(each, id);
      const isRefused = answer === undefined || (!answer.ok && codes.includes(answer.code));
      if (!isRefused || isPrivate(JSON.stringify(answer ?? {}), id)) wrong.push([each.name, what, answer]);
    }
  }
  expect(wrong).toEqual([]);
  // The relay answers in order: all that it had to send for the events before has arrived.
  await socket.timeout(10_000).emitWithAck('vnc:viewers', { containerId: stranger.ids.container });
  const own = JSON.stringify(received.filter((args) => (args as [string])[0] !== 'vnc:dropped'));
  expect(isPrivate(own, '')).toBe(false);
}, 60_000);

test('no tool of the MCP server reaches what belongs to another user', async () => {
  const client = new Client({ name: 'stranger', version: '1' });
  const headers = { Authorization: `Bearer ${stranger.token}` };
  const url = new URL('/mcp', tenants.stack.file().edge);
  await client.connect(new StreamableHTTPClientTransport(url, { requestInit: { headers } }));
  const ARGUMENTS: Record<string, Thing> = {
    containerId: 'container',
    jobId: 'job',
    processId: 'process',
  };
  const wrong: unknown[] = [];
  let cases = 0;
  for (const { name, input, example } of TOOLS) {
    const named = Object.keys(input.shape).filter((argument) => /Id$/.test(argument));
    for (const argument of named) {
      const thing = ARGUMENTS[argument];
      if (!thing) throw new Error(`no case is known for ${argument} of ${name}: add what it names`);
      for (const [what, id, codes] of tried(thing)) {
        cases += 1;
        const others = Object.fromEntries(
          named.map((other) => [other, stranger.ids[ARGUMENTS[other] as Thing]]),
        );
        const given = { ...example, ...others, [argument]: id };
        const { isError, content } = (await client.callTool({ name, arguments: given })) as CallToolResult;
        const text = content.map((block) => (block.type === 'text' ? block.text : block.type)).join('');
        const { code } = JSON.parse(text) as { code?: string };
        if (!isError || !codes.includes(code ?? '') || isPrivate(text, id))
          wrong.push([name, argument, what, text]);
      }
    }
  }
  await client.close();
  expect(wrong).toEqual([]);
  expect(cases).toBeGreaterThan(30);
}, 60_000);

test('nothing happened to what the owner has', async () => {
  expect(await seenByOwner()).toEqual(before);
  expect(owner.socket.connected).toBe(true);
});

test('each of these requests is accepted, or in conflict, with what its caller owns', async () => {
  const ending = (name: string) => Number(name.includes('/stop '));
  const cases = routes.flatMap(({ cases: [first] }) => first ?? []);
  for (const { name, method, thing, request } of cases.toSorted((a, b) => ending(a.name) - ending(b.name))) {
    const answer = await ask(stranger, method, request(stranger.ids[thing], stranger.ids));
    const isRefused = [400, 404, 413, 415, 500].includes(answer.status);
    expect([name, isRefused && (await answer.text())]).toEqual([name, false]);
    if (!isRefused) await answer.body?.cancel();
  }
}, 60_000);
