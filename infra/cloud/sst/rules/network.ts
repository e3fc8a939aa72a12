import type { Recorded, Resource } from '../record.ts';
import { failing, type Rule } from './rule.ts';

const ANYWHERE = ['0.0.0.0/0', '::/0'];
const HTTPS = 443;
/** Ports to which services open connections outside, by group. Upstash is reached on Redis's own. */
const OUTSIDE = [HTTPS, 7844, 6379];

type Edge = { from: string; to: string; port: number };

const isSeparate = ({ type }: Resource) => /SecurityGroup(Ingress|Egress)Rule$/.test(type);
const groupOf = (id: string) => id.replace(/-id$/, '').replace(/Group$/, '');

/** Connections that the groups of both ends permit. */
function edges(deployed: Recorded): Edge[] {
  const rules = (kind: string) =>
    deployed.all(`SecurityGroup${kind}Rule`).filter(({ inputs }) => inputs.referencedSecurityGroupId);
  const key = (from: string, to: string, port: number) => `${groupOf(from)} ${groupOf(to)} ${port}`;
  const out = new Set(
    rules('Egress').map(({ inputs }) =>
      key(inputs.securityGroupId, inputs.referencedSecurityGroupId, inputs.fromPort),
    ),
  );
  return rules('Ingress')
    .map(({ inputs }) => key(inputs.referencedSecurityGroupId, inputs.securityGroupId, inputs.fromPort))
    .filter((edge) => out.has(edge))
    .map((edge) => {
      const [from = '', to = '', port] = edge.split(' ');
      return { from, to, port: Number(port) };
    });
}

const text = ({ from, to, port }: Edge) => `${from} → ${to}:${port}`;

/** Exactly these: one more is a hole, one less a service that can't reach its neighbour. */
function expected(deployed: Recorded): string[] {
  const own = deployed.has(':ReplicationGroup', 'QueueCluster');
  return [
    'RelayBalancer → Relay:8788',
    'Relay → Realtime:6379',
    'Relay → Ledger:5432',
    'Worker → Realtime:6379',
    'Worker → Ledger:5432',
    'Tunnel → Ledger:5432',
    ...(own
      ? [
          'GatewayBalancer → Gateway:8079',
          'Gateway → Queue:6379',
          'Relay → Queue:6379',
          'Worker → Queue:6379',
        ]
      : []),
  ];
}

export const networkRules: Rule[] = [
  {
    guarantee: 'services that need each other may connect, and no others',
    violations: (deployed) => {
      const found = edges(deployed).map(text);
      const wanted = expected(deployed);
      return [
        ...wanted.filter((edge) => !found.includes(edge)).map((edge) => `missing: ${edge}`),
        ...found.filter((edge) => !wanted.includes(edge)).map((edge) => `one too many: ${edge}`),
      ];
    },
  },
  {
    guarantee: 'nothing is open to the world but a balancer’s 443',
    violations: (deployed) => [
      ...deployed
        .all('SecurityGroupIngressRule')
        .filter(({ inputs }) => ANYWHERE.includes(inputs.cidrIpv4 ?? inputs.cidrIpv6))
        .filter(
          ({ inputs }) =>
            inputs.fromPort !== HTTPS ||
            inputs.toPort !== HTTPS ||
            !/Balancer$/.test(groupOf(inputs.securityGroupId)),
        )
        .map(({ name }) => `${name} lets everybody in`),
      ...deployed.resources
        .filter((resource) => /SecurityGroup$/i.test(resource.type) && !isSeparate(resource))
        .filter(({ inputs }) => [...(inputs.ingress ?? []), ...(inputs.egress ?? [])].length > 0)
        .map(({ name }) => `${name} has rules that are not in infra/cloud/network.ts`),
    ],
  },
  {
    guarantee: 'services reach the internet on few ports, tunnels on Cloudflare’s addresses only',
    violations: (deployed) =>
      deployed
        .all('SecurityGroupEgressRule')
        .filter(({ inputs }) => inputs.cidrIpv4)
        .filter(({ inputs: { fromPort, toPort, cidrIpv4 } }) => {
          const upstash = deployed.has(':RedisDatabase', 'Queue');
          const known = fromPort === toPort && OUTSIDE.includes(fromPort) && (fromPort !== 6379 || upstash);
          return !known || (fromPort === 7844 && ANYWHERE.includes(cidrIpv4));
        })
        .map(({ name }) => `${name} reaches too much`),
  },
  {
    guarantee: 'services, hosts and data are in private subnets, with groups of their own',
    violations: (deployed) => {
      const isPrivate = (subnets: string[] = []) =>
        subnets.length > 1 && subnets.every((id) => id.includes('PrivateSubnet'));
      return [
        ...deployed.all('ecs/service:Service').flatMap(({ name, inputs: { networkConfiguration } }) =>
          failing({
            [`${name} is not private`]:
              isPrivate(networkConfiguration.subnets) && networkConfiguration.assignPublicIp === false,
            [`${name} has not one group of its own`]: networkConfiguration.securityGroups.length === 1,
          }),
        ),
        ...deployed
          .all(':SubnetGroup')
          .filter(({ inputs }) => !isPrivate(inputs.subnetIds))
          .map(({ name }) => `${name} is not private`),
        ...deployed
          .all('autoscaling/group:Group')
          .filter(({ inputs }) => !isPrivate(inputs.vpcZoneIdentifiers))
          .map(({ name }) => `${name} is not private`),
      ];
    },
  },
];
