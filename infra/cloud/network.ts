import { stage } from './stage.ts';

export const PORTS = { relay: 8788, gateway: 8079, redis: 6379, postgres: 5432, https: 443 } as const;
const ANYWHERE = '0.0.0.0/0';

export const vpc = new sst.aws.Vpc('Network', {
  az: stage.zones,
  nat: 'managed',
  transform: {
    // A resource without a group of its own reaches nothing, and nothing reaches it.
    securityGroup: { ingress: [], egress: [] },
  },
});

const group = (name: string) =>
  new aws.ec2.SecurityGroup(`${name}Group`, { vpcId: vpc.id, description: `Warmwind ${name}` });

export const groups = {
  relayBalancer: group('RelayBalancer'),
  relay: group('Relay'),
  gatewayBalancer: group('GatewayBalancer'),
  gateway: group('Gateway'),
  worker: group('Worker'),
  tunnel: group('Tunnel'),
  queue: group('Queue'),
  realtime: group('Realtime'),
  ledger: group('Ledger'),
};
type Group = keyof typeof groups;

/** Permits connections from `from` to `to` on `port`, in the groups of both. */
function allow(from: Group, to: Group, port: number): void {
  const at = { ipProtocol: 'tcp', fromPort: port, toPort: port };
  const name = `${from}To${to}${port}`;
  const [source, target] = [groups[from].id, groups[to].id];
  new aws.vpc.SecurityGroupEgressRule(`${name}Out`, {
    ...at,
    securityGroupId: source,
    referencedSecurityGroupId: target,
  });
  new aws.vpc.SecurityGroupIngressRule(`${name}In`, {
    ...at,
    securityGroupId: target,
    referencedSecurityGroupId: source,
  });
}

const fromAnywhere = (to: Group): void => {
  new aws.vpc.SecurityGroupIngressRule(`${to}FromAnywhere`, {
    securityGroupId: groups[to].id,
    ipProtocol: 'tcp',
    fromPort: PORTS.https,
    toPort: PORTS.https,
    cidrIpv4: ANYWHERE,
  });
};

/** Permits connections from `from` to the internet on `port`. */
const toAnywhere = (from: Group, port: number, cidrIpv4 = ANYWHERE): void => {
  new aws.vpc.SecurityGroupEgressRule(`${from}ToAnywhere${port}${cidrIpv4.replaceAll(/\W/g, '')}`, {
    securityGroupId: groups[from].id,
    ipProtocol: 'tcp',
    fromPort: port,
    toPort: port,
    cidrIpv4,
  });
};

// Every permitted connection; all others are refused.
fromAnywhere('relayBalancer');
allow('relayBalancer', 'relay', PORTS.relay);
allow('relay', 'realtime', PORTS.redis);
allow('relay', 'ledger', PORTS.postgres);
allow('worker', 'realtime', PORTS.redis);
allow('worker', 'ledger', PORTS.postgres);
allow('tunnel', 'ledger', PORTS.postgres);

// Images, parameters, logs; a desktop that may use the network, see `EGRESS_NETWORK`.
for (const from of ['relay', 'gateway', 'worker', 'tunnel'] as const) toAnywhere(from, PORTS.https);
// Cloudflare's addresses for tunnels.
for (const cidr of ['198.41.192.0/24', '198.41.200.0/24']) toAnywhere('tunnel', 7844, cidr);

if (stage.queue === 'upstash') {
  for (const from of ['relay', 'worker'] as const) toAnywhere(from, PORTS.redis);
} else {
  fromAnywhere('gatewayBalancer');
  allow('gatewayBalancer', 'gateway', PORTS.gateway);
  for (const from of ['gateway', 'relay', 'worker'] as const) allow(from, 'queue', PORTS.redis);
}

/** Services run in private subnets; only balancers are in public ones. */
export const cluster = new sst.aws.Cluster('Cluster', {
  vpc: {
    id: vpc.id,
    containerSubnets: vpc.privateSubnets,
    loadBalancerSubnets: vpc.publicSubnets,
    securityGroups: [],
    cloudmapNamespaceId: vpc.nodes.cloudmapNamespace.id,
    cloudmapNamespaceName: vpc.nodes.cloudmapNamespace.name,
  },
  transform: { cluster: { settings: [{ name: 'containerInsights', value: 'enabled' }] } },
});
