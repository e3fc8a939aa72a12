import { groups, vpc } from './network.ts';
import { isProduction, region, stage } from './stage.ts';

/** The fields of a Redis that its users need. URLs hold its password. */
type Addresses = {
  url: $util.Output<string>;
  rest?: { url: $util.Output<string>; token: $util.Output<string> };
};

/** Ids of the caches in our network, by name, for alarms. */
export const caches: Record<string, $util.Output<string>> = {};

/**
 * One shard with a replica in another zone, encrypted on disk and wire. Not a cluster: BullMQ's scripts and our own use
 * keys of more than one slot. Sharded pub/sub needs none either, and the relay subscribes by shard channel already.
 */
function valkey(
  name: string,
  group: aws.ec2.SecurityGroup,
  parameters: Record<string, string>,
  snapshots: number,
): sst.aws.Redis {
  const redis = new sst.aws.Redis(name, {
    engine: 'valkey',
    version: '7.2',
    cluster: false,
    instance: stage.redis,
    parameters,
    vpc: { subnets: vpc.privateSubnets, securityGroups: [group.id] },
    transform: {
      cluster: (args) => {
        args.numCacheClusters = 2;
        args.automaticFailoverEnabled = true;
        args.multiAzEnabled = true;
        args.snapshotRetentionLimit = snapshots;
        args.applyImmediately = !isProduction;
      },
    },
  });
  caches[name] = redis.clusterId;
  return redis;
}

const urlOf = ({ username, password, host, port }: sst.aws.Redis): $util.Output<string> =>
  $util
    .all([username, password, host, port])
    .apply(([user, secret = '', at, on]) => `rediss://${user}:${encodeURIComponent(secret)}@${at}:${on}`);

/** The queue Redis: its content is a promise, so it never evicts. */
export const queue: Addresses = stage.queue === 'upstash' ? upstashQueue() : elasticacheQueue();

function upstashQueue(): Addresses {
  // The provider can't choose a plan: choose a fixed one in Upstash's console, see docs/operations/deploy.md.
  const database = new upstash.RedisDatabase('Queue', {
    databaseName: `warmwind-${$app.stage}`,
    region: 'global',
    primaryRegion: region,
    eviction: false,
    tls: true,
    autoScale: false,
    prodPack: isProduction,
  });
  const { endpoint, port, password, restToken } = database;
  return {
    url: $interpolate`rediss://default:${password}@${endpoint}:${port}`,
    rest: { url: $interpolate`https://${endpoint}`, token: restToken },
  };
}

function elasticacheQueue(): Addresses {
  return { url: urlOf(valkey('Queue', groups.queue, { 'maxmemory-policy': 'noeviction' }, stage.backups)) };
}

/**
 * The realtime Redis: events, screens and input, which may be lost. When memory is short it evicts the logs
 * that would expire first. It disconnects a subscriber that can't follow before others are affected.
 */
export const realtime: Addresses = {
  url: urlOf(
    valkey(
      'Realtime',
      groups.realtime,
      {
        'maxmemory-policy': 'volatile-ttl',
        'client-output-buffer-limit-pubsub-hard-limit': `${64 * 2 ** 20}`,
        'client-output-buffer-limit-pubsub-soft-limit': `${32 * 2 ** 20}`,
        'client-output-buffer-limit-pubsub-soft-seconds': '30',
      },
      0,
    ),
  ),
};
