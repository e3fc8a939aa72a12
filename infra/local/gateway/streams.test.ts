import { connect } from 'node:net';
import { Redis as Upstash } from '@upstash/redis';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { waitFor } from '../../quality/testing/wait.ts';
import { startGateway, type TestGateway, TOKEN } from './testing.ts';

let gateway: TestGateway;

beforeAll(async () => {
  gateway = await startGateway({ streams: 4, names: 3, streamBytes: 64 * 1024 });
});
afterAll(() => gateway.stop());

const open: AbortController[] = [];
afterEach(async () => {
  for (const controller of open.splice(0)) controller.abort();
  await waitFor('every stream to end', () => gateway.streams.count === 0);
});

const HEADERS = { Authorization: `Bearer ${TOKEN}`, Accept: 'text/event-stream' };

/**
 * Opens a stream.
 * @returns its response and everything that it has received
 */
async function listen(path: string, headers: Record<string, string> = HEADERS, method = 'POST') {
  const controller = new AbortController();
  open.push(controller);
  const response = await fetch(gateway.url + path, { method, headers, signal: controller.signal });
  const received = { text: '', over: false };
  const read = async () => {
    for await (const chunk of response.body ?? []) received.text += Buffer.from(chunk).toString();
  };
  read()
    .catch(() => undefined)
    .finally(() => {
      received.over = true;
    });
  return { response, received };
}
const publish = (channel: string, message: string | Buffer) => gateway.redis.client.publish(channel, message);

test('the stock client subscribes to channels and patterns, and leaves', async () => {
  const { client } = gateway;
  const channels = client.subscribe<unknown>(['news', 'sport']);
  const patterns = client.psubscribe<unknown>(['user:*']);
  const seen: unknown[] = [];
  let confirmed = 0;
  channels.on('subscribe', () => {
    confirmed += 1;
  });
  channels.on('message', (data) => seen.push(data));
  channels.on('error', (error) => seen.push(error));
  patterns.on('pmessage', (data) => seen.push(data));
  await waitFor('three streams', () => gateway.streams.count === 3);
  await waitFor('two confirmations', () => confirmed === 2);
  expect(await client.publish('news', { a: [1, 'zwei, ü 漢字'] })).toBe(1);
  await client.publish('sport', 'plain, with commas');
  await client.publish('user:7', { id: 7 });
  await waitFor('the messages', () => seen.length === 3);
  expect(seen).toEqual(
    expect.arrayContaining([
      { channel: 'news', message: { a: [1, 'zwei, ü 漢字'] } },
      { channel: 'sport', message: 'plain, with commas' },
      { pattern: 'user:*', channel: 'user:7', message: { id: 7 } },
    ]),
  );
  await channels.unsubscribe(['news']);
  await waitFor('no subscriber to be left', async () => (await client.publish('news', 'x')) === 0);
  await Promise.all([channels.unsubscribe(), patterns.unsubscribe()]);
  await waitFor('every stream to end', () => gateway.streams.count === 0);
});

test('events have the form of server-sent events, a message of several lines too', async () => {
  const { response, received } = await listen('/subscribe/a/b%2Fc/');
  expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
  await publish('b/c', 'one\ntwo\r\nthree');
  await waitFor('the message', () => received.text.includes('three'));
  expect(received.text).toBe(
    'data: subscribe,a,1\n\ndata: subscribe,b/c,2\n\ndata: message,b/c,one\ndata: two\ndata: three\n\n',
  );
});

test('MONITOR reports commands as Redis writes them, to one listener at a time', async () => {
  const { received } = await listen('/monitor');
  await gateway.redis.client.set('k', 'a "quoted" value');
  await waitFor('the command', () => received.text.includes('quoted'));
  expect(received.text).toMatch(/^data: "OK"\n\n/);
  expect(received.text).toMatch(/data: \d+\.\d+ \[0 127\.0\.0\.1:\d+\] "set" "k" "a \\"quoted\\" value"\n\n/);
  const second = await listen('/monitor');
  expect(second.response.status).toBe(503);
});

test.each([
  ['without a token', '/subscribe/a', { Accept: 'text/event-stream' }, 401],
  ['with a wrong token', '/monitor', { ...HEADERS, Authorization: 'Bearer wrong-token-of-16' }, 401],
  ['without asking for events', '/subscribe/a', { Authorization: `Bearer ${TOKEN}` }, 400],
  ['without asking for events', '/monitor', { Authorization: `Bearer ${TOKEN}` }, 400],
  ['without a channel', '/subscribe', HEADERS, 400],
  ['with too many channels', '/subscribe/a/b/c/d', HEADERS, 400],
  ['of a shard', '/ssubscribe/a', HEADERS, 400],
])('a stream %s is refused (%s)', async (_what, path, headers, status) => {
  const { response } = await listen(path, headers);
  expect(response.status).toBe(status);
  expect(gateway.streams.count).toBe(0);
});

test('the number of streams is bounded; commands continue meanwhile', async () => {
  for (let i = 0; i < 4; i++) expect((await listen(`/subscribe/c${i}`)).response.status).toBe(200);
  const refused = await listen('/subscribe/more');
  expect(refused.response.status).toBe(503);
  expect(await gateway.command('PING')).toEqual({ status: 200, body: { result: 'PONG' } });
});

test('a client that does not read is disconnected, and the bytes that wait for it are bounded', async () => {
  const { hostname, port } = new URL(gateway.url);
  const socket = connect({ host: hostname, port: Number(port) }).on('error', () => undefined);
  const lines = Object.entries(HEADERS).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(`POST /subscribe/flood HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n${lines.join('')}\r\n`);
  await waitFor('the stream', () => gateway.streams.count === 1);
  socket.pause();
  const reading = await listen('/subscribe/flood');
  const message = 'x'.repeat(8 * 1024);
  let sent = 0;
  await waitFor('it to be disconnected', async () => {
    for (let i = 0; i < 50; i++, sent++) await publish('flood', message);
    return gateway.streams.count === 1;
  });
  await waitFor('the other to have all', () => reading.received.text.length >= sent * message.length);
  socket.destroy();
});

test('a stream ends with the connection to Redis, and new ones open when it recovers', async () => {
  const { received } = await listen('/subscribe/a');
  await gateway.redis.kill();
  await waitFor('the end', () => received.over);
  expect((await listen('/subscribe/a')).response.status).toBe(503);
  await gateway.redis.restart();
  await waitFor('a stream', async () => (await listen('/subscribe/a')).response.ok);
  await waitFor('commands', async () => (await gateway.command('PING')).status === 200);
});

test('a batch is recognized with any slashes around its path', async () => {
  const url = `${gateway.url}//`;
  const slashed = new Upstash({ url, token: TOKEN, retry: false });
  expect(await slashed.pipeline().set('k', 1).get('k').exec()).toEqual(['OK', 1]);
  for (const path of ['/pipeline', '/pipeline/', '//pipeline//', '/multi-exec/']) {
    const body = JSON.stringify([
      ['SET', 'k', '2'],
      ['GET', 'k'],
    ]);
    expect(await gateway.send(path, { method: 'POST', body })).toEqual({
      status: 200,
      body: [{ result: 'OK' }, { result: '2' }],
    });
  }
  expect(await gateway.send('//', { method: 'POST', body: '["PING"]' })).toMatchObject({ status: 200 });
});
