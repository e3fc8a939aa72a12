import { createServer } from 'node:net';
import { expect, it } from 'vitest';
import { freePort } from '../../quality/testing/port.ts';
import { reservePorts, USUAL_PORTS } from './ports.ts';

const occupy = (port: number) =>
  new Promise<() => void>((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve(() => server.close()));
  });

it('two systems that start at the same time get different ports, kept until a part takes its own', async () => {
  const [first, second] = [await reservePorts({}), await reservePorts({})];
  const all = [...Object.values(first), ...Object.values(second)];
  expect(new Set(all.map(({ port }) => port)).size).toBe(2 * Object.keys(USUAL_PORTS).length);
  await expect(occupy(second.EDGE_PORT.port)).rejects.toThrow('EADDRINUSE');
  await Promise.all(all.map(({ release }) => release()));
  (await occupy(second.EDGE_PORT.port))();
});

it('a port that its part has not taken yet, or has lost for a moment, is given to no other system', async () => {
  const first = await reservePorts({});
  await Promise.all(Object.values(first).map(({ release }) => release()));
  const second = await reservePorts({});
  const ports = Object.values(second).map(({ port }) => port);
  for (const { port } of Object.values(first)) expect(ports).not.toContain(port);
  await Promise.all(Object.values(second).map(({ release }) => release()));
});

it('a port that was asked for and is taken is an error that names it', async () => {
  const port = await freePort();
  const free = await occupy(port);
  await expect(reservePorts({ EDGE_PORT: port })).rejects.toThrow(`EDGE_PORT=${port} is taken`);
  free();
});
