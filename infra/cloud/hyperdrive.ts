import { hosts, proxied } from './dns.ts';
import { database, primary, replica } from './ledger.ts';
import { cluster, groups } from './network.ts';
import { arns, parameters } from './secrets.ts';
import { hardened } from './service.ts';

/**
 * Connects the edge to a database without a public address. Hyperdrive calls Cloudflare Access, which knows
 * it by a token; Access calls a tunnel that connects from inside our network outwards.
 */
const accountId = sst.cloudflare.DEFAULT_ACCOUNT_ID;
const name = `warmwind-${$app.stage}`;
const servers = { ledger: primary, replica };

const tunnel = new cloudflare.ZeroTrustTunnelCloudflared('LedgerTunnel', {
  accountId,
  name,
  configSrc: 'cloudflare',
});

new cloudflare.ZeroTrustTunnelCloudflaredConfig('LedgerTunnelRoutes', {
  accountId,
  tunnelId: tunnel.id,
  config: {
    ingresses: [
      { hostname: hosts.ledger, service: $interpolate`tcp://${primary.address}:5432` },
      { hostname: hosts.replica, service: $interpolate`tcp://${replica.address}:5432` },
      { service: 'http_status:404' },
    ],
  },
});

const token = new cloudflare.ZeroTrustAccessServiceToken('LedgerToken', { accountId, name });

const onlyHyperdrive = new cloudflare.ZeroTrustAccessPolicy('LedgerPolicy', {
  accountId,
  name,
  decision: 'non_identity',
  includes: [{ serviceToken: { tokenId: token.id } }],
});

const bind = (binding: string, server: keyof typeof servers) => {
  const host = hosts[server];
  proxied.createAlias(
    binding,
    { name: host, aliasName: $interpolate`${tunnel.id}.cfargotunnel.com`, aliasZone: '' },
    {},
  );
  new cloudflare.ZeroTrustAccessApplication(`${binding}Access`, {
    accountId,
    name: host,
    domain: host,
    type: 'self_hosted',
    policies: [{ id: onlyHyperdrive.id, precedence: 1 }],
  });
  return new sst.cloudflare.Hyperdrive(binding, {
    // No caching: the edge must read the present rows.
    caching: false,
    origin: {
      scheme: 'postgres',
      host,
      database: database.database,
      user: database.username,
      password: database.password,
      accessClientId: token.clientId,
      accessClientSecret: token.clientSecret,
    },
    transform: { hyperdrive: { name: `${name}-${server}` } },
  });
};

export const ledgerDb = bind('LedgerDb', 'ledger');
export const ledgerReadDb = bind('LedgerReadDb', 'replica');

/** The tunnel's inner end: two tasks, so that one may be replaced. */
new sst.aws.Service('Tunnel', {
  cluster,
  image: 'cloudflare/cloudflared:2025.8.1',
  command: ['tunnel', '--no-autoupdate', '--metrics', '127.0.0.1:2000', 'run'],
  cpu: '0.25 vCPU',
  memory: '0.5 GB',
  scaling: { min: 2, max: 2, cpuUtilization: false, memoryUtilization: false },
  health: {
    command: ['CMD', 'cloudflared', 'tunnel', '--metrics', '127.0.0.1:2000', 'ready'],
    startPeriod: '30 seconds',
  },
  ssm: arns(
    parameters('tunnel', {
      TUNNEL_TOKEN: cloudflare.getZeroTrustTunnelCloudflaredTokenOutput({ accountId, tunnelId: tunnel.id })
        .token,
    }),
  ),
  transform: hardened(groups.tunnel),
});
