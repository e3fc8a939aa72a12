import { createServer } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readGreeting } from '../../../workers/containers/rfb.ts';
import { startTestDesktop, type TestDesktop } from '../../../workers/testing/desktop.ts';
import { ENGINE_WITHIN_MS } from '../testing/docker.ts';
import { expectRefused } from './attempts.ts';
import { audit } from './audit.ts';
import { ESCAPES, EXCESSES } from './escapes.ts';

let desktop: TestDesktop;
beforeAll(async () => {
  desktop = await startTestDesktop(256);
}, ENGINE_WITHIN_MS);
afterAll(() => desktop?.remove());

test('each process, mount and limit of a desktop is as the worker’s options say', async () => {
  await audit(desktop.container, { uid: desktop.uid, memoryMb: 256, cpus: 2 });
});

test('each escape that a program tries is refused', async () => {
  const all = [...ESCAPES, ...EXCESSES];
  expect(all.length).toBeGreaterThan(120);
  expect(new Set(all.map(({ name }) => name)).size).toBe(all.length);
  await expectRefused(desktop.supervisor, all);
  // None changed what it is.
  await audit(desktop.container, { uid: desktop.uid, memoryMb: 256, cpus: 2 });
}, 60_000);

test('a socket of the host without a path is not there for a program', async () => {
  const name = `warmwind-isolation-${process.pid}`;
  const server = createServer((socket) => socket.end('reached'));
  await new Promise<void>((resolve) => server.listen(`\0${name}`, resolve));
  const connects = `socket(my $s, 1, 1, 0); $r = connect($s, pack("Sxa*", 1, "${name}")); $! = 1 if $!{ECONNREFUSED}`;
  await expectRefused(desktop.supervisor, [{ name: 'connect to a socket of the host', program: connects }]);
  await new Promise((resolve) => server.close(resolve));
});

test('a link in place of the screen’s socket is not followed by the worker', async () => {
  const screen = desktop.socketPath.replace(/[^/]+$/, 's');
  await readGreeting(screen);
  await desktop.inside('cd /run/rfb && mv s moved && ln -s /var/run/docker.sock s');
  await expect(readGreeting(screen)).rejects.toThrow();
  await desktop.inside('cd /run/rfb && rm s && mv moved s');
  await readGreeting(screen);
});
