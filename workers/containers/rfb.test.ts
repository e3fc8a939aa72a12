import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readGreeting, waitForGreeting } from './rfb.ts';

let dir: string;
const servers: Server[] = [];
const serve = async (name: string, greeting: string) => {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.write(greeting);
  });
  servers.push(server);
  const path = join(dir, name);
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return path;
};

beforeAll(async () => {
  const root = process.env.WARMWIND_TEST_DIR ?? tmpdir();
  await mkdir(root, { recursive: true });
  dir = await mkdtemp(join(root, 'rfb-'));
});
afterAll(async () => {
  for (const server of servers) server.close();
  await rm(dir, { recursive: true, force: true });
});

test('an RFB server is recognised by its greeting', async () => {
  expect(await readGreeting(await serve('s', 'RFB 003.008\n'))).toBe('RFB 003.008\n');
});

test('a link to a socket is never followed', async () => {
  const target = await serve('host.sock', 'RFB 003.008\n');
  await symlink(target, join(dir, 'link'));
  await expect(readGreeting(join(dir, 'link'))).rejects.toThrow('not a socket');
});

test('a file, another protocol, a silent server and an absent socket are refused in bounded time', async () => {
  await writeFile(join(dir, 'file'), 'RFB 003.008\n');
  await expect(readGreeting(join(dir, 'file'))).rejects.toThrow('not a socket');
  await expect(readGreeting(await serve('http', 'HTTP/1.1 200 OK\r\n'))).rejects.toThrow('not an RFB server');
  await expect(readGreeting(await serve('silent', ''), 100)).rejects.toThrow('no greeting');
  await expect(readGreeting(join(dir, 'none'))).rejects.toThrow();
});

test('the wait for a greeting ends at its time-out, at an abort and when the desktop has exited', async () => {
  const wait = (withinMs: number, signal: AbortSignal, alive: boolean) =>
    waitForGreeting(join(dir, 'never'), { withinMs, signal, alive: async () => alive });
  const never = new AbortController().signal;
  await expect(wait(50, never, true)).rejects.toMatchObject({ code: 'desktop_silent' });
  await expect(wait(5000, never, false)).rejects.toMatchObject({ code: 'desktop_exited' });
  await expect(wait(5000, AbortSignal.timeout(20), true)).rejects.toThrow();
});
