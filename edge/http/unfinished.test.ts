import { connect, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { signToken, startTestEdge, type TestEdge } from '../../infra/local/edge/testing.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';

const LIMIT = 1000;
const BODY = 1.5 * 2 ** 20;
let edge: TestEdge;
const sockets: Socket[] = [];

beforeAll(async () => {
  edge = await startTestEdge({
    RATE_LIMITS: `{"user": ["${LIMIT}/h"], "ip": [], "containers.start": []}`,
  });
});
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
});
afterAll(() => edge?.stop());

/**
 * Begins a request whose body stays incomplete.
 * @returns the socket, and the answer received so far
 */
async function begin(user: string, path = '/inference', length = BODY) {
  const { hostname, port } = new URL(edge.url);
  const socket = connect({ host: hostname, port: Number(port) });
  sockets.push(socket);
  let answer = '';
  socket.on('data', (chunk) => {
    answer += chunk.toString();
  });
  socket.on('error', () => undefined);
  const token = await signToken({ sub: user });
  const head = [`POST ${path} HTTP/1.1`, 'Host: edge', `Authorization: Bearer ${token}`];
  socket.write(
    [...head, 'Content-Type: application/json', `Content-Length: ${length}`, '', '{"model":'].join('\r\n'),
  );
  return { socket, answer: () => answer };
}

async function used(user: string): Promise<number> {
  const { body } = await edge.call(user, 'GET', '/limits');
  const [tier] = body.tiers as { remaining: number }[];
  return LIMIT - (tier?.remaining ?? 0);
}

test('a request counts although its body never ends, and 408 ends it', async () => {
  const begun = await Promise.all(Array.from({ length: 4 }, () => begin('ann')));
  await waitFor('all to count', async () => (await used('ann')) === 4);
  await waitFor(
    'them to be ended',
    () => begun.every(({ answer }) => answer().includes('408 Request Timeout')),
    40_000,
  );
  expect(begun[0]?.answer()).toContain('request_timeout');
  expect(await used('ann')).toBe(4);
}, 60_000);

test('a request whose body ends late counts once', async () => {
  const body = JSON.stringify({ model: 'm', prompt: 'p' });
  const { socket, answer } = await begin('bea', '/inference', body.length);
  await waitFor('it to count', async () => (await used('bea')) === 1);
  socket.write(body.slice('{"model":'.length));
  await waitFor('an answer', () => answer().includes('jobId'));
  expect(answer()).toContain('202 Accepted');
  expect(answer().toLowerCase()).toContain(`x-ratelimit-remaining: ${LIMIT - 1}`);
  expect(await used('bea')).toBe(1);
});

test("a user's bodies take a bounded part of the memory, and the bodies of other users pass", async () => {
  const begun = await Promise.all(Array.from({ length: 20 }, () => begin('cid')));
  const refused = () => begun.filter(({ answer }) => answer().includes('429 Too Many Requests')).length;
  await waitFor('those above the bound to be refused', () => refused() === 12);
  const answer = await edge.call('dan', 'POST', '/inference', { body: { model: 'm', prompt: 'p' } });
  expect(answer.status).toBe(202);
  for (const { socket } of begun) socket.destroy();
  await waitFor('the memory to be free again', async () => {
    const { status } = await edge.call('cid', 'POST', '/inference', {
      body: { model: 'm', prompt: 'x'.repeat(190_000) },
    });
    return status === 202;
  });
});

test('a flood of bodies that are refused for their user makes no trips, and other users are answered', async () => {
  edge.trips();
  const begun = await Promise.all(Array.from({ length: 200 }, () => begin('flo')));
  const over = ({ socket, answer }: (typeof begun)[number]) => answer().includes(' 429 ') || socket.destroyed;
  await waitFor('those above the bound to be refused', () => begun.filter(over).length >= 192);
  // Eight bodies are waited for, and charged because they are slow.
  await waitFor('the others to count', async () => (await used('flo')) === 8);
  expect(edge.trips()).toBeLessThan(60);
  const interrupted = () => edge.lines.filter((line) => line.includes('broke off')).length;
  edge.lines.length = 0;
  for (const { socket } of begun) socket.destroy();
  await waitFor('those that were waited for to end', () => interrupted() === 8);
  const { status } = await edge.call('gil', 'POST', '/inference', { body: { model: 'm', prompt: 'p' } });
  expect(status).toBe(202);
});

test('a client that disconnects is not logged as an error, and its request counts', async () => {
  edge.lines.length = 0;
  const { socket } = await begin('eve');
  await waitFor('it to be read', async () => (await used('eve')) === 1);
  socket.destroy();
  const { socket: soon } = await begin('eve');
  soon.end();
  await waitFor(
    'both to be logged',
    () => edge.lines.filter((line) => line.includes('broke off')).length === 2,
  );
  expect(edge.lines.filter((line) => line.includes('unexpected error'))).toEqual([]);
  await waitFor('both to count', async () => (await used('eve')) === 2);
});
