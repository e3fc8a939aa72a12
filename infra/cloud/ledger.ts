import { groups, vpc } from './network.ts';
import { isProduction, stage } from './stage.ts';

export const database = new sst.aws.Postgres('Ledger', {
  // Of this major version RDS takes the newest, and goes on to newer ones by itself.
  version: '18',
  instance: stage.database,
  storage: '100 GB',
  multiAz: isProduction,
  vpc: { subnets: vpc.privateSubnets },
  transform: {
    parameterGroup: { parameters: [{ name: 'rds.force_ssl', value: '1' }] },
    instance: (args) => {
      args.vpcSecurityGroupIds = [groups.ledger.id];
      args.publiclyAccessible = false;
      args.backupRetentionPeriod = stage.backups;
      args.copyTagsToSnapshot = true;
      args.deletionProtection = isProduction;
      args.skipFinalSnapshot = !isProduction;
      args.finalSnapshotIdentifier = `warmwind-${$app.stage}-last`;
      args.allowMajorVersionUpgrade = false;
      args.applyImmediately = !isProduction;
    },
  },
});
export const primary = database.nodes.instance as aws.rds.Instance;

/** For lists and usage; the edge leaves it out while it lags. In a zone of its own choice. */
export const replica = new aws.rds.Instance('LedgerReplica', {
  replicateSourceDb: primary.identifier,
  instanceClass: `db.${stage.database}`,
  storageEncrypted: true,
  publiclyAccessible: false,
  vpcSecurityGroupIds: [groups.ledger.id],
  parameterGroupName: primary.parameterGroupName,
  performanceInsightsEnabled: true,
  skipFinalSnapshot: true,
});

/** For services in our network. Holds the password. */
export const ledgerUrl = $util
  .all([database.username, database.password, database.host, database.port, database.database])
  .apply(
    ([user, secret, host, port, db]) =>
      `postgres://${user}:${encodeURIComponent(secret)}@${host}:${port}/${db}?sslmode=require`,
  );
