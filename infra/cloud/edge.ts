import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { hosts } from './dns.ts';
import { rest } from './gateway.ts';
import { ledgerDb, ledgerReadDb } from './hyperdrive.ts';
import { authSecret, authSecretPrevious, webhookSecret } from './secrets.ts';
import { region, stage } from './stage.ts';

// The Worker as one file, and the static files next to it.
execFileSync('npm', ['run', '--silent', 'build:edge'], { cwd: $cli.paths.root, stdio: 'inherit' });

/** The runtime that the edge is built for; its comments are on lines of their own. */
const runtime = JSON.parse(
  readFileSync(`${$cli.paths.root}/edge/wrangler.jsonc`, 'utf8').replaceAll(/^ *\/\/.*$/gm, ''),
) as { compatibility_date: string; compatibility_flags: string[] };

const restToken = new sst.Linkable('QueueToken', { properties: { value: rest.token } });

/** Images that a start may name, by the names that hosts give them; see infra/cloud/gpu-host/boot.sh. */
const desktopImages = Object.fromEntries(stage.desktops.map((name) => [name, `warmwind/${name}:latest`]));

/** Secrets and databases are linked, read by infra/local/edge/deployed.ts; the rest is plain. */
export const edge = new sst.cloudflare.Worker('Edge', {
  handler: 'edge/dist/deployed/main.js',
  assets: { directory: 'edge/dist/assets' },
  domain: hosts.edge,
  compatibility: { date: runtime.compatibility_date, flags: runtime.compatibility_flags },
  link: [authSecret, authSecretPrevious, webhookSecret, restToken, ledgerDb, ledgerReadDb],
  environment: {
    UPSTASH_REDIS_REST_URL: rest.url,
    RELAY_URL: `https://${hosts.relay}`,
    CORS_ORIGINS: `https://${hosts.edge}`,
    DESKTOP_IMAGES: JSON.stringify(desktopImages),
    DESKTOP_NETWORKS: 'none',
    MAX_GPUS: '0',
    ...(stage.jwksUrl ? { AUTH_JWKS_URL: stage.jwksUrl } : {}),
  },
  // Close to the data, not to the caller: a request makes several trips to Redis and the ledger.
  placement: { region: $interpolate`aws:${region}` },
  // The Worker's own lines only: the platform's would hold each request's address with its query, which may
  // hold a secret.
  transform: {
    worker: { observability: { enabled: true, logs: { enabled: true, invocationLogs: false } } },
  },
});
