import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../quality/testing/port.ts';
import { waitFor } from '../../quality/testing/wait.ts';
import { findTool } from '../stack/tools.ts';
import { nginxConfig } from './config.ts';

export const NGINX = findTool('nginx') ?? 'nginx';

export type TestNginx = {
  /** Its addresses of the edge and of the relay. */
  edge: string;
  relay: string;
  dir: string;
  /** The text of its log of errors, or of requests. */
  log: (name: 'error' | 'access') => string;
  stop: () => Promise<void>;
};

/** A real nginx with the project's configuration. @param upstreams `host:port` of the edge and of each relay node */
export async function startNginx(upstreams: { edge: string; relays: string[] }): Promise<TestNginx> {
  const dir = mkdtempSync(join(tmpdir(), 'warmwind-nginx-'));
  const logs = join(dir, 'logs');
  mkdirSync(logs);
  const [edgePort, relayPort] = [await freePort(), await freePort()];
  const config = join(dir, 'nginx.conf');
  writeFileSync(config, nginxConfig({ dir, logs, edgePort, relayPort, ...upstreams }));
  const nginx = spawn(NGINX, ['-p', dir, '-c', config, '-e', join(logs, 'nginx-error.log')], {
    stdio: 'ignore',
  });
  const edge = `http://127.0.0.1:${edgePort}`;
  await waitFor('nginx', () => fetch(edge).then(Boolean, () => false));
  return {
    edge,
    relay: `http://127.0.0.1:${relayPort}`,
    dir,
    log: (name) => readFileSync(join(logs, `nginx-${name}.log`), 'utf8'),
    stop: async () => {
      const gone = once(nginx, 'exit');
      nginx.kill('SIGTERM');
      await gone;
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
