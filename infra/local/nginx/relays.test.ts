import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { containerScreenshot } from '@warmwind/shared/contract/commands/container-screenshot';
import { ApiError } from '@warmwind/shared/contract/errors';
import { screenshotPath } from '@warmwind/shared/contract/screen';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { TestCallHost } from '../../../relay/testing/call-host.ts';
import { connected, ticket, World } from '../../../relay/testing/world.ts';
import { waitFor } from '../../quality/testing/wait.ts';
import { startNginx, type TestNginx } from './testing.ts';

/** Relay nodes behind a real nginx, and attacks of their clients. */
let world: World;

beforeAll(async () => {
  world = await World.start();
});
afterEach(() => world.tidy());
afterAll(() => world?.stop());

const addressOf = (url: string) => new URL(url).host;

async function before(urls: string[]): Promise<TestNginx> {
  const [first = ''] = urls;
  const nginx = await startNginx({ edge: addressOf(first), relays: urls.map(addressOf) });
  world.onTidy(nginx.stop);
  return nginx;
}

/**
 * Sends raw bytes on a new connection.
 * @returns everything that is received until it is closed
 */
async function raw(to: string, bytes: string): Promise<string> {
  const socket: Socket = connect({ host: '127.0.0.1', port: Number(new URL(to).port), timeout: 8000 });
  socket.on('timeout', () => socket.destroy()).on('error', () => undefined);
  socket.write(bytes);
  let text = '';
  socket.on('data', (chunk) => {
    text += chunk;
  });
  await once(socket, 'close');
  return text;
}

/**
 * Connects with a ticket.
 * @returns the refusal, if any
 */
const connects = async (url: string): Promise<string | undefined> => {
  const socket = world.client(url, await ticket('bob'));
  const error = await connected(socket);
  socket.disconnect();
  return error?.message;
};

/**
 * Opens a WebSocket without sending messages.
 * @returns the refusal, if any
 */
const opens = (url: string): Promise<string | undefined> =>
  new Promise((resolve) => {
    const socket = new WebSocket(`${url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`);
    socket.addEventListener('open', () => {
      socket.close();
      resolve(undefined);
    });
    socket.addEventListener('error', () => resolve('no WebSocket'));
  });

/**
 * Opens new sockets, one after another, while `attack` continues.
 * @returns the number of open ones and the refusals of the others
 */
async function opensDuring(attack: Promise<unknown>, open: () => Promise<string | undefined>, atLeast = 40) {
  let over = false;
  const ended = attack.finally(() => {
    over = true;
  });
  const refused: string[] = [];
  let tried = 0;
  for (; !over || tried < atLeast; tried++) {
    const refusal = await open();
    if (refusal) refused.push(refusal);
  }
  await ended;
  return { tried, refused };
}

const UPGRADES = ['foo', 'h2c', 'websocket', 'websocket, foo', 'TLS/1.0'];

it.each(['/x', '/socket.io/', '/socket.io/?EIO=4&transport=websocket', '/jobs/x/events', '/health/live'])(
  'every request to %s that offers another protocol has an answer with a status',
  async (path) => {
    const { url } = await world.node();
    for (const upgrade of UPGRADES) {
      const head = `GET ${path} HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, close\r\nUpgrade: ${upgrade}\r\n\r\n`;
      expect(await raw(url, head), upgrade).toMatch(/^HTTP\/1\.1 (200|400|401|404) /);
    }
  },
);

it('requests that offer an unknown protocol take no node from other clients', async () => {
  const nodes = await Promise.all([world.node(), world.node()]);
  const { relay } = await before(nodes.map(({ url }) => url));
  const head = 'GET /x HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, close\r\nUpgrade: foo\r\n\r\n';
  const attack = async () => {
    for (let round = 0; round < 30; round++) {
      await Promise.all(UPGRADES.map((upgrade) => raw(relay, head.replace('foo', upgrade))));
    }
  };
  const { refused } = await opensDuring(attack(), () => connects(relay));
  expect(refused).toEqual([]);
});

it("a user's own failures take no node from other users", async () => {
  const nodes = await Promise.all([world.node(), world.node()]);
  const { relay } = await before(nodes.map(({ url }) => url));
  const desktop = await world.container('ann', { state: 'running' });
  const { host, taken } = await TestCallHost.start(world, [containerScreenshot]);
  host.runs({ userId: 'ann', containerId: desktop }, 0);
  const headers = { Authorization: `Bearer ${await ticket('ann')}` };
  let failures = 0;
  const attack = async () => {
    for (let round = 1; round <= 30; round++) {
      const asking = fetch(relay + screenshotPath(desktop, 'png'), { headers });
      const call = await waitFor('the call', () => taken.at(round - 1));
      call.fail(new ApiError('unavailable', 'The display is gone.'));
      if ((await asking).status === 503) failures += 1;
    }
  };
  const { refused } = await opensDuring(attack(), () => connects(relay));
  expect(refused).toEqual([]);
  expect(failures).toBe(30);
});

/** A node that fails as the path names, and accepts no socket. */
async function failing(): Promise<string> {
  const server: Server = createServer((request, response) => {
    const { socket } = response;
    const [path = ''] = request.url?.split('?') ?? [];
    if (path === '/reset') socket?.resetAndDestroy();
    else if (path === '/nothing') socket?.end();
    else if (path === '/malformed') socket?.end('HTTP/1.1 nonsense\r\n\r\n');
    else response.writeHead(Number(path.slice(1)) || 404).end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  world.onTidy(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

it.each(['/reset', '/nothing', '/malformed', '/500', '/503', '/504', '/429'])(
  'a node that answers one request with %s is asked the next ones too',
  async (path) => {
    const [one, other] = [await failing(), await failing()];
    const { relay } = await before([one, other]);
    const head = `GET ${path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n`;
    for (let round = 0; round < 4; round++) await raw(relay, head);
    for (let round = 0; round < 8; round++) expect((await fetch(`${relay}/200`)).status).toBe(200);
  },
);

it.each([500, 503, 504])(
  'a refusal with %i reaches its client from the node that was asked',
  async (status) => {
    const nodes = [await failing(), await failing()];
    const nginx = await before(nodes);
    expect((await fetch(`${nginx.relay}/${status}`)).status).toBe(status);
    const line = await waitFor('the log', () => nginx.log('access').match(new RegExp(`/${status} .*`))?.[0]);
    expect(nodes.filter((node) => line.includes(addressOf(node)))).toHaveLength(1);
  },
);

it('a node that is killed and one that drains fail no new connection', async () => {
  const [one, other] = [await world.process(), await world.process()];
  const { relay } = await before([one.url, other.url]);
  // Held open: the stopped node then has the fewest sockets, and nginx asks it first.
  const held = await Promise.all(
    Array.from({ length: 20 }, async () => {
      const socket = world.client(relay, await ticket('ann'));
      await connected(socket);
      return socket;
    }),
  );
  const restarts = async () => {
    await one.end('SIGTERM');
    await one.start();
    await other.end('SIGKILL');
    await other.start();
  };
  const { tried, refused } = await opensDuring(restarts(), () => opens(relay));
  expect(refused).toEqual([]);
  console.log(`${tried} connections over 2 restarts, ${held.length} held`);
}, 90_000);

it('no log of nginx has the query of a request, not even of a failed one', async () => {
  const nginx = await before([await failing(), await failing()]);
  for (const path of ['/reset', '/nothing', '/malformed', '/503', '/200']) {
    const head = `GET ${path}?ticket=a-secret HTTP/1.1\r\nHost: h\r\nReferer: /?ticket=a-secret\r\nConnection: close\r\n\r\n`;
    await raw(nginx.relay, head);
    await raw(nginx.edge, head);
  }
  await raw(nginx.relay, 'GET /\0?ticket=a-secret HTTP/1.1\r\nHost: h\r\n\r\n');
  await waitFor('the log', () => nginx.log('access').includes('/200'));
  expect(nginx.log('access')).toContain('/reset');
  expect(nginx.log('access') + nginx.log('error')).not.toContain('a-secret');
});

it('a node that drains passes requests on to the next, also those that are no sockets', async () => {
  const [leaving, staying] = [await world.node(), await world.node()];
  const { relay } = await before([leaving.url, staying.url]);
  const job = await world.job('ann');
  const headers = { Authorization: `Bearer ${await ticket('ann')}` };
  leaving.beginDrain();
  for (let round = 0; round < 8; round++) {
    const response = await fetch(`${relay}/jobs/${job}/end?wait=0`, { headers });
    expect(response.status).toBeLessThan(500);
    await response.body?.cancel();
  }
  expect((await fetch(`${leaving.url}/jobs/${job}/end`, { headers })).status).toBe(502);
});
