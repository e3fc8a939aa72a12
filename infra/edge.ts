import { execFileSync } from 'node:child_process';
import { hosts } from './dns.ts';
import { rest } from './gateway.ts';
import { ledgerDb, ledgerReadDb } from './hyperdrive.ts';
import { authSecret, authSecretPrevious } from './secrets.ts';

// The Worker as one file, and what is served beside it.
execFileSync('npm', ['run', '--silent', 'build:edge'], { cwd: $cli.paths.root, stdio: 'inherit' });

const restToken = new sst.Linkable('QueueToken', { properties: { value: rest.token } });

/** Secrets and databases are linked, read by infra/edge/deployed.ts; the rest is plain. */
export const edge = new sst.cloudflare.Worker('Edge', {
  handler: 'edge/dist/deployed/main.js',
  assets: { directory: 'edge/dist/assets' },
  domain: hosts.edge,
  // As in edge/wrangler.jsonc.
  compatibility: { date: '2026-07-01', flags: ['nodejs_compat'] },
  link: [authSecret, authSecretPrevious, restToken, ledgerDb, ledgerReadDb],
  environment: {
    UPSTASH_REDIS_REST_URL: rest.url,
    RELAY_URL: `https://${hosts.relay}`,
    CORS_ORIGINS: `https://${hosts.edge}`,
    DESKTOP_NETWORKS: 'none',
    MAX_GPUS: '1',
  },
  // Beside the data, not beside the caller: a request makes several trips to Redis and the ledger.
  placement: { region: 'aws:us-east-1' },
  transform: { worker: { observability: { enabled: true } } },
});
