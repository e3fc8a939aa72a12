import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { filePath } from '@warmwind/shared/contract/files';
import { newId } from '@warmwind/shared/contract/ids';
import { tunnelPath } from '@warmwind/shared/contract/tickets';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { ENGINE_WITHIN_MS } from '../../infra/quality/testing/docker.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { sessionClient, startSessionHost, USER } from '../../relay/testing/session-host.ts';
import { type TestNode, ticket, World } from '../../relay/testing/world.ts';
import { openTunnel } from '../../shared/client/node/tunnel.ts';
import type { SessionHostOptions } from '../sessions/host.ts';
import { startTestDesktop, type TestDesktop } from '../testing/desktop.ts';
import { createFile } from './container-file.ts';
import { createTunnel } from './container-tunnel.ts';

let world: World;
let desktop: TestDesktop;
let node: TestNode;
let containerId: string;
let control: string;

beforeAll(async () => {
  [world, desktop] = await Promise.all([World.start(), startTestDesktop()]);
  const supervisors = { of: () => desktop.supervisor };
  const handlers = {
    'container.file': createFile(supervisors),
    'container.tunnel': createTunnel(supervisors),
  } as unknown as SessionHostOptions['handlers'];
  node = await world.node();
  ({ containerId } = await startSessionHost(world, async () => ({}), { handlers }));
  control = await ticket(USER, { mode: 'control' });
}, ENGINE_WITHIN_MS);
afterAll(async () => {
  await world?.stop();
  await desktop?.remove();
});

/** Sends a request for a file to the relay. */
const ask = (path: string, init: RequestInit & { token?: string; query?: string } = {}) => {
  const { token = control, query = '', headers, ...rest } = init;
  const authorized = { ...headers, Authorization: `Bearer ${token}` };
  return fetch(node.url + filePath(containerId, path) + query, { ...rest, headers: authorized });
};
const codeOf = async (answer: Response) => {
  const { code } = (await answer.json()) as { code: string };
  return [answer.status, code];
};
const sha = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/** A body of `size` bytes without a declared length. */
const streamOf = (size: number, fail = false): RequestInit =>
  ({
    method: 'PUT',
    body: new ReadableStream({
      start: (controller) => {
        for (let at = 0; at < size; at += 65_536)
          controller.enqueue(new Uint8Array(Math.min(65_536, size - at)));
        if (fail) controller.error(new Error('broke off'));
        else controller.close();
      },
    }),
    duplex: 'half',
  }) as RequestInit;

describe('a file over HTTP', () => {
  test('comes back with its checksum, size and type', async () => {
    const bytes = randomBytes(9_000_000);
    const written = await ask('big/файл\n1', { method: 'PUT', body: bytes });
    expect([written.status, written.headers.get('X-Incarnation')]).toEqual([204, '3']);
    const read = await ask('big/файл\n1');
    expect(Object.fromEntries(read.headers)).toMatchObject({
      'content-length': '9000000',
      'content-type': 'application/octet-stream',
      'x-content-type-options': 'nosniff',
      'x-file-type': 'file',
      'cache-control': 'no-store',
    });
    expect(sha(new Uint8Array(await read.arrayBuffer()))).toBe(sha(bytes));
    const head = await ask('big/файл\n1', { method: 'HEAD' });
    expect([head.status, head.headers.get('content-length')]).toEqual([200, '9000000']);
    expect((await ask('big', { method: 'DELETE' })).status).toBe(204);
    expect(await codeOf(await ask('big/файл\n1'))).toEqual([404, 'not_found']);
  });

  test('is listed, and a tree is read and written as tar', async () => {
    await ask('tree/sub/one', { method: 'PUT', body: '1' });
    const listing = await ask('tree');
    expect(await listing.json()).toMatchObject({ items: [{ name: 'sub', type: 'directory' }] });
    const archive = await ask('tree', { query: '?archive=tar' });
    expect(archive.headers.get('Content-Type')).toBe('application/x-tar');
    const body = await archive.arrayBuffer();
    expect((await ask('other', { method: 'PUT', query: '?archive=tar', body })).status).toBe(204);
    expect(await (await ask('other/sub/one')).text()).toBe('1');
    expect(await (await ask('', { query: '?limit=1&after=a' })).json()).toMatchObject({ items: [{}] });
  });

  test.each<[string, string, RequestInit & { query?: string }, number, string]>([
    ['encoded dots and slashes', '', { query: '%2e%2e%2fetc%2fpasswd' }, 400, 'bad_request'],
    ['an empty name', '', { query: 'a//b' }, 400, 'bad_request'],
    ['a null character', '', { query: 'a%00b' }, 400, 'bad_request'],
    ['bytes that are not UTF-8', '', { query: '%ff' }, 400, 'bad_request'],
    ['a path of 4096 bytes', 'x/'.repeat(2048), {}, 400, 'bad_request'],
    ['an unknown query', 'a', { query: '?recursive=1' }, 400, 'bad_request'],
    ['another incarnation', 'a', { headers: { 'If-Match': '"2"' } }, 409, 'gone_incarnation'],
    ['a folder as a file', '', { method: 'PUT', body: 'x' }, 409, 'conflict'],
    [
      'more than 64 MB',
      'a',
      { method: 'PUT', body: Buffer.alloc(64 * 2 ** 20 + 1) },
      413,
      'payload_too_large',
    ],
    ['more than 64 MB without a length', 'a', streamOf(65 * 2 ** 20), 413, 'payload_too_large'],
    [
      'what is no archive',
      'a',
      { method: 'PUT', query: '?archive=tar', body: 'x'.repeat(600) },
      400,
      'bad_request',
    ],
    ['a body where the path is a folder', 'tree', streamOf(8 * 2 ** 20), 409, 'conflict'],
  ])('%s is refused', async (_name, path, init, status, code) => {
    expect(await codeOf(await ask(path, init))).toEqual([status, code]);
  });

  test.each([
    ['of another user', () => ticket('bob', { mode: 'control' }), 404],
    ['to view', () => ticket(USER), 403],
    ['of a share link', () => ticket(USER, { containerId, mode: 'control' }), 404],
    ['that is forged', () => ticket(USER, { mode: 'control', secret: 'x'.repeat(40) }), 401],
  ])('is refused to a ticket %s', async (_name, make, status) => {
    const token = await make();
    for (const method of ['GET', 'PUT', 'DELETE']) {
      expect([method, (await ask('tree', { token, method })).status]).toEqual([method, status]);
    }
  });

  test('whose body breaks off leaves nothing, and its session ends', async () => {
    await ask('broken', streamOf(3_000_000, true)).catch(() => undefined);
    await waitFor('the end of the session', async () => (await metric('warmwind_relay_sessions')) === 0);
    expect(await desktop.inside('ls -A /home/user | grep -cE "broken|warmwind-"')).toBe('0');
  });

  test('that nobody reads on ends its session', async () => {
    await ask('held', { method: 'PUT', body: Buffer.alloc(30_000_000) });
    const gone = new AbortController();
    const answer = await ask('held', { signal: gone.signal });
    await answer.body?.getReader().read();
    gone.abort();
    await waitFor('the end of the session', async () => (await metric('warmwind_relay_sessions')) === 0);
    await ask('held', { method: 'DELETE' });
  });
});

const metric = async (name: string) => {
  const text = await (await fetch(`${node.url}/metrics`)).text();
  return Number(
    text
      .split('\n')
      .find((line) => line.startsWith(`${name} `))
      ?.split(' ')[1],
  );
};

describe('a port inside', () => {
  const port = 4321;
  beforeAll(async () => {
    // It sends back all that it reads, and then how much that was.
    const server = `use IO::Socket; my $s = IO::Socket::INET->new(LocalAddr => "127.0.0.1:${port}", Listen => 5, Reuse => 1);
      while (my $c = $s->accept) { next if fork; my $n = 0; while (sysread($c, my $b, 65536)) { $n += length $b; my $o = 0; while ($o < length $b) { $o += syswrite($c, $b, length($b) - $o, $o) } } syswrite($c, "=$n"); exit }`;
    await desktop.supervisor.start(newId(), { cmd: ['perl', '-e', server], background: true });
    await waitFor('the server', async () => (await desktop.inside(`grep -c ':10E1 ' /proc/net/tcp`)) !== '0');
  });

  const dial = async (path: string) => {
    const ws = new WebSocket(node.url.replace('http', 'ws') + path, ['warmwind', `ticket.${control}`]);
    await once(ws, 'open');
    return ws;
  };
  /** Sends bytes over TCP, ends its direction, and reads to the end. */
  const exchange = async (at: number, bytes: Uint8Array): Promise<Buffer> => {
    const socket: Socket = createConnection({ port: at, host: '127.0.0.1', allowHalfOpen: true });
    socket.end(bytes);
    return buffer(socket);
  };

  test('is reached over a WebSocket', async () => {
    const ws = await dial(tunnelPath(containerId, port));
    ws.send(Buffer.from('hello'));
    const [message] = await once(ws, 'message');
    expect(String(message)).toBe('hello');
    ws.close();
  });

  test('where nothing listens closes the WebSocket with the reason', async () => {
    const ws = await dial(tunnelPath(containerId, 9));
    const [code, reason] = await once(ws, 'close');
    expect([code, String(reason)]).toEqual([
      1011,
      expect.stringMatching(/^failed: Nothing listens at port 9 /),
    ]);
  });

  test('is a port of this machine, through breaks of the connection', async () => {
    const relay = sessionClient(world, node.url);
    const tunnel = await openTunnel({ relay, containerId, to: port });
    const bytes = randomBytes(4_000_000);
    const both = [bytes, randomBytes(10)].map((one) => exchange(tunnel.port, one));
    for (let breaks = 0; breaks < 2; breaks++) {
      await waitFor('a socket', () => node.io.sockets.sockets.size > 0);
      for (const socket of node.io.sockets.sockets.values()) socket.conn.close();
    }
    const [large] = await Promise.all(both);
    expect(large?.subarray(0, bytes.length).equals(bytes)).toBe(true);
    expect(large?.subarray(bytes.length).toString()).toBe(`=${bytes.length}`);
    const refused = await openTunnel({ relay, containerId, to: 9 });
    expect((await exchange(refused.port, Buffer.from('x')).catch(() => Buffer.alloc(0))).length).toBe(0);
    await Promise.all([tunnel.close(), refused.close()]);
  });
});
