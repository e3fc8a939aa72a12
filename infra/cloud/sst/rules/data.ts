import { failing, type Rule } from './rule.ts';

const policy = (parameters: { name: string; value: string }[]) =>
  parameters.find(({ name }) => name === 'maxmemory-policy')?.value;

export const dataRules: Rule[] = [
  {
    guarantee: 'the queue Redis never evicts',
    violations: (deployed) => {
      if (deployed.has(':RedisDatabase', 'Queue')) {
        const { eviction, tls } = deployed.one(':RedisDatabase', 'Queue');
        return failing({ 'Upstash may evict': eviction === false, 'Upstash without TLS': tls === true });
      }
      const { parameters } = deployed.one('elasticache/parameterGroup:ParameterGroup', 'QueueParameterGroup');
      return failing({ 'the queue may evict': policy(parameters) === 'noeviction' });
    },
  },
  {
    guarantee:
      'a Redis in our network is private, encrypted, behind a password, in two zones, and no cluster',
    violations: (deployed) =>
      deployed.all(':ReplicationGroup').flatMap(({ name, inputs }) =>
        failing({
          [`${name} is a cluster: scripts would cross slots`]: inputs.clusterMode === 'disabled',
          [`${name} is in one zone`]:
            inputs.multiAzEnabled && inputs.automaticFailoverEnabled && inputs.numCacheClusters >= 2,
          [`${name} is not encrypted`]: inputs.transitEncryptionEnabled && inputs.atRestEncryptionEnabled,
          [`${name} has no password`]: Boolean(inputs.authToken),
          [`${name} is in another group than its own`]:
            inputs.securityGroupIds.join() === `${name.replace('Cluster', '')}Group-id`,
        }),
      ),
  },
  {
    guarantee: 'the ledger and its replica are private, encrypted, speak TLS only, and are backed up',
    violations: (deployed) => {
      const instance = (name: string) => deployed.one('rds/instance:Instance', name);
      const [primary, replica] = [instance('LedgerInstance'), instance('LedgerReplica')];
      const { parameters } = deployed.one('rds/parameterGroup:ParameterGroup', 'LedgerParameterGroup');
      const live = deployed.stage === 'production';
      return [
        ...[primary, replica].flatMap((inputs, index) =>
          failing({
            [`server ${index} is public`]: inputs.publiclyAccessible === false,
            [`server ${index} is not encrypted`]: inputs.storageEncrypted === true,
            [`server ${index} is in another group`]: inputs.vpcSecurityGroupIds.join() === 'LedgerGroup-id',
          }),
        ),
        ...failing({
          'plain connections are taken': parameters.some(
            ({ name, value }: { name: string; value: string }) => name === 'rds.force_ssl' && value === '1',
          ),
          'there are no backups': primary.backupRetentionPeriod >= (live ? 30 : 1),
          'the replica follows nothing': Boolean(replica.replicateSourceDb),
          'production can be deleted, or is in one zone':
            !live || (primary.deletionProtection && !primary.skipFinalSnapshot && primary.multiAz),
        }),
      ];
    },
  },
  {
    guarantee: 'Hyperdrive caches nothing and connects through Access',
    violations: (deployed) => {
      const found = deployed.all(':HyperdriveConfig');
      return [
        ...failing({ 'two bindings': found.length === 2 }),
        ...found.flatMap(({ name, inputs: { caching, origin } }) =>
          failing({
            [`${name} caches`]: caching?.disabled === true,
            [`${name} has no token`]: Boolean(origin.accessClientId && origin.accessClientSecret),
          }),
        ),
      ];
    },
  },
];
