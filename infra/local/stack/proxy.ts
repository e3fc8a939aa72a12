import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { nginxConfig } from '../nginx/config.ts';
import { accepts } from './answers.ts';
import type { PartsContext } from './context.ts';
import type { ReservedPort } from './ports.ts';
import type { Part } from './supervisor.ts';

const READY_WITHIN_MS = 30_000;

/** @param command path of the installed program */
export function nginxPart({ dir, ports, settings }: PartsContext, command: string): Part {
  const own = dir.file('nginx');
  const config = join(own, 'nginx.conf');
  mkdirSync(own, { recursive: true, mode: 0o700 });
  const address = ({ port }: ReservedPort) => `127.0.0.1:${port}`;
  const text = nginxConfig({
    dir: own,
    logs: dir.file('logs'),
    edgePort: ports.EDGE_PORT.port,
    relayPort: ports.RELAY_PORT.port,
    edge: address(ports.EDGE_DIRECT_PORT),
    relays: [address(ports.RELAY_1_PORT), address(ports.RELAY_2_PORT)],
  });
  writeFileSync(config, text, { mode: 0o600 });
  const listens = [ports.EDGE_PORT, ports.RELAY_PORT];
  return {
    name: 'nginx',
    what: 'in front of edge and relays',
    url: `http://${address(ports.EDGE_PORT)} ${address(ports.RELAY_PORT)}`,
    command,
    args: ['-p', own, '-c', config, '-e', join(dir.file('logs'), 'nginx-error.log')],
    env: settings.inherited,
    prepare: () => Promise.all(listens.map(({ release }) => release())),
    ready: async () => (await Promise.all(listens.map(({ port }) => accepts(port)))).every(Boolean),
    readyWithinMs: READY_WITHIN_MS,
    stopSignal: 'SIGQUIT',
    stopWithinMs: 5000,
  };
}
