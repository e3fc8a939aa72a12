/** `node infra/self-host/nginx.ts`: writes nginx's configurations for compose.yaml, the same that the local stack runs. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { nginxConfig } from '../local/nginx/config.ts';

const DIR = '/tmp/nginx';
const common = { dir: DIR, logs: DIR, bind: '*', edge: 'edge:8787', relays: ['relay:8788'] };

/** A container's log is its output. */
const toOutput = (config: string): string =>
  config
    .replace(`"${DIR}/nginx-access.log" paths buffer=32k flush=1s`, '/dev/stdout paths')
    .replace(`"${DIR}/nginx-error.log"`, '/dev/stderr');

export const CONFIGS: Record<string, string> = {
  'nginx.conf': toOutput(nginxConfig({ ...common, edgePort: 8080, relayPort: 8081 })),
  'nginx.tls.conf': toOutput(
    nginxConfig({
      ...common,
      edgePort: 8443,
      relayPort: 8443,
      tls: { certificate: '/tls/tls.crt', key: '/tls/tls.key', relayName: 'relay.*' },
    }),
  ),
};

if (import.meta.main) {
  for (const [name, text] of Object.entries(CONFIGS)) await writeFile(join(import.meta.dirname, name), text);
}
