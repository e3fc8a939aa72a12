import { chown, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Supervisor } from './client.ts';
import { Supervisors } from './supervisors.ts';

const isRoot = process.getuid?.() === 0;
let folder: string;
const servers: Server[] = [];

beforeAll(async () => {
  const root = process.env.WARMWIND_TEST_DIR ?? tmpdir();
  await mkdir(root, { recursive: true });
  folder = await mkdtemp(join(root, 'sup-'));
});
afterAll(async () => {
  for (const server of servers) server.close();
  await rm(folder, { recursive: true, force: true });
});

/** Serves this text to every connection. */
async function serve(name: string, text: string): Promise<string> {
  const path = join(folder, name);
  const server = createServer((socket) => {
    socket.on('error', () => undefined).once('data', () => socket.write(text));
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return path;
}

const at = (path: string) => new Supervisor(async () => path);
const json = (body: string, head = '200 OK') =>
  `HTTP/1.1 ${head}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;

test('only a socket of root is a supervisor: none, a file, a link and one of the desktop are none', async () => {
  const own = await serve('own', json('{"version":1}'));
  await symlink(own, join(folder, 'link'));
  await writeFile(join(folder, 'file'), '');
  const foreign = await serve('foreign', json('{"version":1}'));
  if (isRoot) await chown(foreign, 1_900_000_007, 0);
  for (const path of [join(folder, 'link'), join(folder, 'file'), foreign, '/dev/shm/no-supervisor']) {
    await expect(at(path).health(), path).rejects.toMatchObject({ code: 'no_supervisor' });
  }
});

test('the supervisor of a container that has ended is unreachable: its volume is not mounted, or gone', async () => {
  for (const path of [join(folder, 'none'), join(folder, 'gone', 'none')]) {
    await expect(at(path).health(), path).rejects.toMatchObject({ code: 'unreachable' });
  }
});

test.runIf(isRoot).each([
  ['another type', json('{"version":"1"}'), 'invalid_answer'],
  ['no JSON', json('hello'), 'invalid_answer'],
  ['no HTTP', 'RFB 003.008\n', 'unreachable'],
  ['a refusal without a code', json('{}', '500 Oops'), 'invalid_answer'],
  ['a refusal with a code that is none', json('{"code":"A B","message":""}', '400 Bad'), 'invalid_answer'],
  ['endless headers', `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(100_000)}`, 'unreachable'],
  ['an endless body', `HTTP/1.1 200 OK\r\n\r\n${' '.repeat(21 * 2 ** 20)}`, 'invalid_answer'],
])('an answer of %s is an error', async (name, text, code) => {
  const path = await serve(name.replaceAll(' ', '-'), text);
  await expect(at(path).health()).rejects.toMatchObject({ name: 'SupervisorError', code });
});

test.runIf(isRoot)('a refusal arrives with its code, message and status', async () => {
  const path = await serve('refuses', json('{"code":"no_processes","message":"Full."}', '503 Full'));
  const refused = { code: 'no_processes', message: 'Full.', status: 503 };
  await expect(at(path).list()).rejects.toMatchObject(refused);
});

test.runIf(isRoot)('a silent supervisor ends a request at its time-out and at an abort', async () => {
  const path = await serve('silent', '');
  const late = at(path).request({ method: 'GET', path: '/health', timeoutMs: 50 });
  await expect(late).rejects.toMatchObject({ code: 'timeout' });
  const reason = new Error('no longer needed');
  const abort = new AbortController();
  const waiting = at(path).wait('p', { signal: abort.signal });
  abort.abort(reason);
  await expect(waiting).rejects.toBe(reason);
  await expect(at(path).list({ signal: abort.signal })).rejects.toBe(reason);
});

test('a container that does not run here has no supervisor, and one that runs again has that of its instance', async () => {
  const paths: string[] = [];
  const supervisors = new Supervisors({
    supervisorPath: async (engineId) => {
      paths.push(engineId);
      return join(folder, 'none');
    },
  });
  expect(() => supervisors.of('c')).toThrow(expect.objectContaining({ code: 'not_here' }));
  supervisors.runs('c', 'first');
  const first = supervisors.of('c');
  supervisors.runs('c', 'first');
  expect(supervisors.of('c')).toBe(first);
  supervisors.runs('c', 'second');
  await expect(supervisors.of('c').health()).rejects.toMatchObject({ code: 'unreachable' });
  expect(paths).toEqual(['second']);
  supervisors.ended('c');
  expect(() => supervisors.of('c')).toThrow(expect.objectContaining({ code: 'not_here' }));
});
