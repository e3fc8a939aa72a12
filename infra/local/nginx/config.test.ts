import { spawnSync } from 'node:child_process';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { freePort } from '../../quality/testing/port.ts';
import { NGINX, startNginx, type TestNginx } from './testing.ts';

let nginx: TestNginx;
let edge: string;
let relay: string;
const servers: Server[] = [];
const seen: IncomingMessage[] = [];

/** A server behind nginx that records the requests that it receives. */
async function upstream(name: string): Promise<string> {
  const server = createServer((request, response) => {
    seen.push(request);
    request.resume().on('end', () => response.end(name));
  });
  server.on('upgrade', (request, socket) => {
    seen.push(request);
    socket.end('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  servers.push(server);
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

beforeAll(async () => {
  const relays = [`127.0.0.1:${await freePort()}`, await upstream('the living node')];
  nginx = await startNginx({ edge: await upstream('the edge'), relays });
  ({ edge, relay } = nginx);
});

afterAll(async () => {
  await nginx?.stop();
  for (const server of servers) server.close();
});

const lastSeen = () => seen.at(-1)?.headers ?? {};

it('nginx takes the configuration without a warning', () => {
  const config = join(nginx.dir, 'nginx.conf');
  const { stderr, status } = spawnSync(NGINX, ['-t', '-p', nginx.dir, '-c', config, '-e', 'stderr'], {
    encoding: 'utf8',
  });
  expect(stderr).not.toMatch(/warn|emerg/);
  expect(status).toBe(0);
});

it('the client’s address is the one that nginx saw, never the one that the client claims', async () => {
  await fetch(edge, {
    headers: { 'CF-Connecting-IP': '6.6.6.6', 'X-Real-IP': '6.6.6.6', 'X-Forwarded-For': '6.6.6.6' },
  });
  expect(lastSeen()['cf-connecting-ip']).toBe('127.0.0.1');
  expect(lastSeen()['x-real-ip']).toBe('127.0.0.1');
  expect(lastSeen()['x-forwarded-for']).toBe('6.6.6.6, 127.0.0.1');
});

it('a body above the limits of the edge reaches the edge, which answers it', async () => {
  const response = await fetch(edge, { method: 'POST', body: new Uint8Array(9 * 2 ** 20) });
  expect(await response.text()).toBe('the edge');
});

it('a body beyond all limits is refused in the form of every error', async () => {
  const response = await fetch(edge, { method: 'POST', body: new Uint8Array(17 * 2 ** 20) });
  expect(response.status).toBe(413);
  expect(await response.json()).toMatchObject({ statusCode: 413, code: 'payload_too_large' });
});

/**
 * Sends raw bytes to nginx, which `fetch` would normalize.
 * @returns the response
 */
async function raw(to: string, bytes: string): Promise<{ head: string; body: string }> {
  const { hostname, port } = new URL(to);
  const socket = connect({ host: hostname, port: Number(port), timeout: 5000 });
  socket.on('timeout', () => socket.destroy(new Error('no answer'))).write(bytes);
  let text = '';
  for await (const chunk of socket) text += chunk;
  const [head = '', body = ''] = text.split('\r\n\r\n');
  return { head, body };
}

const HEADERS = 'Host: h\r\nConnection: close\r\n\r\n';
it.each([
  ['a NUL in the path', `GET /containers/%00 HTTP/1.1\r\n${HEADERS}`],
  ['a path above the root', `GET /..%2f.. HTTP/1.1\r\n${HEADERS}`],
  ['a broken percent-encoding', `GET /%zz HTTP/1.1\r\n${HEADERS}`],
  ['an address of 9 KB', `GET /${'a'.repeat(9000)} HTTP/1.1\r\n${HEADERS}`],
  ['a header of 20 KB', `GET / HTTP/1.1\r\nX-Long: ${'a'.repeat(20_000)}\r\n${HEADERS}`],
  ['no host', 'GET / HTTP/1.1\r\nConnection: close\r\n\r\n'],
  ['no HTTP', 'nonsense\r\n\r\n'],
  ['TRACE', `TRACE / HTTP/1.1\r\n${HEADERS}`],
  ['an unknown transfer encoding', `POST / HTTP/1.1\r\nTransfer-Encoding: x\r\n${HEADERS}`],
])('%s is refused in the form of every error', async (_, bytes) => {
  for (const to of [edge, relay]) {
    const { head, body } = await raw(to, bytes);
    expect(head).toMatch(/^HTTP\/1.1 400 /);
    const { requestId, ...error } = JSON.parse(body) as Record<string, unknown>;
    expect(error).toMatchObject({ statusCode: 400, code: 'bad_request' });
    expect(head).toContain(`X-Request-Id: ${requestId}`);
  }
});

it("nginx's own pages can't be asked for", async () => {
  const response = await fetch(`${edge}/.nginx/malformed`);
  expect(response.status).toBe(404);
  expect(await response.json()).toMatchObject({ statusCode: 404, code: 'not_found' });
});

it.each(['/metrics', '/metrics?a=b', '//metrics', '/%6detrics'])(
  '%s of a relay node is not public',
  async (path) => {
    const response = await fetch(`${relay}${path}`);
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({
      code: 'not_found',
      requestId: response.headers.get('x-request-id'),
    });
  },
);

it('a dead relay node is skipped', async () => {
  for (let count = 0; count < 8; count++) {
    expect(await (await fetch(`${relay}/health/live`)).text()).toBe('the living node');
  }
});

it('a WebSocket is upgraded through to the relay', async () => {
  const socket = new WebSocket(`${relay.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`);
  await new Promise((resolve) => socket.addEventListener('error', resolve, { once: true }));
  expect(lastSeen()).toMatchObject({ upgrade: 'websocket', connection: 'upgrade', 'x-real-ip': '127.0.0.1' });
});

it('a request that offers another protocol than WebSocket is passed on as a plain one', async () => {
  const offer = 'Host: h\r\nConnection: Upgrade, close\r\nUpgrade: foo\r\n\r\n';
  const { head } = await raw(relay, `GET /x HTTP/1.1\r\n${offer}`);
  expect(head).toMatch(/^HTTP\/1.1 200 /);
  expect(lastSeen()).not.toHaveProperty('upgrade');
});

it('an edge that is away is a 503 in the form of every error', async () => {
  const [, server] = servers;
  server?.closeAllConnections();
  await new Promise((resolve) => server?.close(resolve));
  const response = await fetch(edge);
  expect(response.status).toBe(503);
  expect(response.headers.get('retry-after')).toBe('1');
  expect(await response.json()).toMatchObject({ statusCode: 503, code: 'unavailable', retryAfterMs: 1000 });
});
