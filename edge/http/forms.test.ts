import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { signToken, startTestEdge, type TestEdge } from '../../infra/local/edge/testing.ts';

let edge: TestEdge;

beforeAll(async () => {
  edge = await startTestEdge({ RATE_LIMITS: '{"user": [], "ip": [], "containers.start": []}' });
});
afterAll(() => edge?.stop());

const post = (path: string, body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}) =>
  edge.raw('ada', path, {
    method: 'POST',
    body,
    headers: { 'Content-Type': 'application/json', ...headers },
  });
const ticket = '{"ttlSeconds": 60}';

describe('a Content-Type means the same', () => {
  test.each([
    'application/json',
    'APPLICATION/JSON',
    'application/json;',
    'application/json ;',
    'application/json; ',
    'application/json;;',
    'application/json ; charset=utf-8',
    'application/json;charset=utf-8',
    'application/json;\tcharset=utf-8',
    'application/json; charset=UTF-8',
    'application/json; Charset="utf-8"',
    'application/json; charset="UTF-8" ; q=1',
    'application/json; charset=',
    'application/json; charset=""',
    'application/json; profile=""; charset=utf8',
    'application/json; profile="a;charset=x"',
    'application/json; odata=verbose',
  ])('as the plain form: %j', async (type) => {
    for (const path of ['/realtime/token', '/containers/start', '/jobs/x/retry', '/v1/chat/completions']) {
      const answer = await post(path, path === '/realtime/token' ? ticket : '{"x":1}', {
        'Content-Type': type,
      });
      const text = await answer.text();
      expect([path, answer.status, text.length]).toEqual([
        path,
        path === '/realtime/token' ? 200 : 400,
        text.length,
      ]);
    }
  });

  test.each([
    ['text/plain', 'application/json'],
    ['application/jsonp', 'application/json'],
    ['application/x+json', 'application/json'],
    ['multipart/form-data; boundary=x', 'application/json'],
    ['application/json; charset=latin1', 'UTF-8'],
    ['application/json; charset="utf-16"', 'UTF-8'],
    ['application/json ;x=y;CHARSET=iso-8859-1', 'UTF-8'],
  ])('415 with the accepted form: %s', async (type, right) => {
    const answer = await post('/realtime/token', ticket, { 'Content-Type': type });
    expect([answer.status, await answer.json()]).toEqual([
      415,
      expect.objectContaining({ message: expect.stringContaining(right) }),
    ]);
  });

  test('and only the plain coding is accepted', async () => {
    expect((await post('/realtime/token', ticket, { 'Content-Encoding': 'identity' })).status).toBe(200);
    for (const coding of ['gzip', 'BR', 'x, gzip']) {
      const answer = await post('/realtime/token', ticket, { 'Content-Encoding': coding });
      expect([coding, answer.status, (await answer.json()).code]).toEqual([
        coding,
        415,
        'unsupported_media_type',
      ]);
    }
  });
});

test.each(['Bearer', 'bearer', 'BEARER', 'Bearer  ', 'Bearer \t'])(
  'an Authorization of the scheme %j is taken',
  async (scheme) => {
    const Authorization = `${scheme} ${await signToken({ sub: 'ada' })} `;
    expect((await edge.raw(undefined, '/limits', { headers: { Authorization } })).status).toBe(200);
  },
);

test('an Idempotency-Key in quotes is the key', async () => {
  const jobs = [];
  for (const key of ['k-1', '"k-1"', ' "k-1" ', '"k-2"']) {
    const answer = await post('/containers/start', '{}', { 'Idempotency-Key': key });
    expect(answer.status).toBe(202);
    jobs.push((await answer.json()).jobId);
  }
  expect(jobs).toEqual([jobs[0], jobs[0], jobs[0], expect.any(String)]);
  expect(jobs[3]).not.toBe(jobs[0]);
  expect((await post('/containers/start', '{}', { 'Idempotency-Key': '""' })).status).toBe(400);
});

describe('a body that is not Unicode text', () => {
  const latin1 = (text: string) => Uint8Array.from(text, (letter) => letter.charCodeAt(0));

  test.each([
    ['/containers/start', '{"env":{"A":"\xff"}}'],
    ['/containers/start', '{"env":{"A":"\xc3"}}'],
    ['/inference', '{"model":"m","prompt":"caf\xe9"}'],
    ['/inference', '{"model":"m","prompt":"\xed\xa0\x80"}'],
    ['/v1/chat/completions', '{"model":"m","messages":[{"role":"user","content":"\xc0\xaf"}]}'],
    ['/realtime/token', '{"mode":"\xfe"}'],
  ])('is 400 for bytes that are not UTF-8: %s %j', async (path, body) => {
    const answer = await post(path, latin1(body));
    expect(answer.status).toBe(400);
    expect(await answer.text()).toContain('the body is not UTF-8');
  });

  test.each([
    ['/containers/start', '{"env":{"A":"\\ud83d"}}', 'env.A'],
    ['/containers/start', '{"env":{"A\\ude00":"x"}}', 'env.A\ufffd'],
    ['/containers/start', '{"name":"x\\uDFFF"}', 'name'],
    ['/inference', '{"model":"m","prompt":"\\ud83dx\\ude00"}', 'prompt'],
    ['/inference', '{"model":"m","messages":[{"role":"user","content":"\\uD800"}]}', 'messages.0.content'],
    ['/inference', '{"model":"m","prompt":"p","stop":["\\udbff"]}', 'stop.0'],
  ])('is 400 for half a surrogate pair: %s %s', async (path, body, field) => {
    const answer = await post(path, body);
    const { issues } = (await answer.json()) as { issues: { path: string; message: string }[] };
    expect([answer.status, issues]).toEqual([
      400,
      [{ path: field, message: expect.stringContaining('half a surrogate pair') }],
    ]);
  });

  test('is reported in the form of OpenAI, too', async () => {
    const body = '{"model":"m","messages":[{"role":"user","content":"\\ud800"}]}';
    const answer = await post('/v1/chat/completions', body);
    expect([answer.status, (await answer.json()).error.param]).toEqual([400, 'messages.0.content']);
  });

  test('complete pairs pass, as escapes and as bytes', async () => {
    for (const value of ['\\ud83d\\ude00', '😀', '\\uFFFF']) {
      expect((await post('/containers/start', `{"env":{"A":"${value}"}}`)).status).toBe(202);
    }
  });
});
