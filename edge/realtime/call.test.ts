import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ApiError } from '@warmwind/shared/contract/errors';
import { decodeJwt } from 'jose';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { peek, poke } from '../../workers/calls/testing/commands.ts';
import type { Config } from '../config.ts';
import { Relay } from './relay.ts';

/** The relay's answer: each test sets it. */
let answer: (request: IncomingMessage, response: ServerResponse) => void;
let relay: Relay;
const server = createServer((request, response) => answer(request, response));

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  relay = new Relay({ RELAY_URL: url, AUTH_SECRET: 'a'.repeat(32) } as Config);
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

const call = (command: typeof poke | typeof peek = poke) =>
  relay.call('ada', {
    command,
    containerId: 'c1',
    incarnation: 2,
    credential: 'token:t1',
    input: { n: 1 },
    ...(command.claims ? { idempotencyKey: 'k' } : {}),
  });
const codeOf = (asked: Promise<unknown>) =>
  asked.then(
    () => 'answered',
    (error: unknown) => (error instanceof ApiError ? error.code : 'failed'),
  );

test('a call is sent with its incarnation, its key, and a ticket that names the token', async () => {
  let seen: { path?: string; headers: IncomingMessage['headers']; body: string } | undefined;
  answer = async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    seen = { path: request.url ?? '', headers: request.headers, body: Buffer.concat(chunks).toString() };
    response.end('{"n":1}');
  };
  expect(await (await call()).json()).toEqual({ n: 1 });
  expect(seen).toMatchObject({
    path: '/containers/c1/calls/test.poke',
    headers: { 'if-match': '"2"', 'idempotency-key': 'k', 'content-type': 'application/json' },
    body: '{"n":1}',
  });
  const token = seen?.headers.authorization?.replace('Bearer ', '') ?? '';
  expect(decodeJwt(token)).toMatchObject({ sub: 'ada', mode: 'control', credential: 'token:t1' });
});

test('refusals of the relay and the host are passed on unchanged', async () => {
  const body = {
    code: 'bad_request',
    message: 'No.',
    issues: [{ path: 'n', message: 'no' }],
    statusCode: 400,
  };
  answer = (_request, response) => response.writeHead(400).end(JSON.stringify(body));
  await expect(call()).rejects.toMatchObject({
    code: 'bad_request',
    message: 'No.',
    details: { issues: body.issues },
  });
  for (const code of [
    'gone_incarnation',
    'busy',
    'unavailable',
    'outcome_unknown',
    'conflict',
    'not_found',
  ]) {
    answer = (_request, response) => response.writeHead(503).end(JSON.stringify({ code, message: 'm' }));
    expect(await codeOf(call())).toBe(code);
  }
});

test('a lost answer means outcome_unknown for a call with effects, and a failure for a read', async () => {
  const losses: (typeof answer)[] = [
    (request) => request.socket.destroy(),
    (_request, response) => response.writeHead(502).end('<html>Bad gateway</html>'),
    (_request, response) => response.writeHead(500).end(JSON.stringify({ code: 'internal', message: 'm' })),
    (_request, response) => response.writeHead(200, { 'Content-Length': '5' }).destroy(),
  ];
  for (const loss of losses) {
    answer = loss;
    expect(await codeOf(call(poke))).toBe('outcome_unknown');
    expect(await codeOf(call(peek))).toBe('failed');
  }
});
