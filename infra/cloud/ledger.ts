import { groups, vpc } from './network.ts';
import { isProduction, stage } from './stage.ts';

export const database = new sst.aws.Postgres('Ledger', {
  // RDS uses the newest minor version of this major version, and upgrades it automatically.
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

/** A replica for lists and usage; the edge does not use it while it lags. RDS chooses its zone. */
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

/** The URL for services in our network. It holds the password. */
export const ledgerUrl = $util
  .all([database.username, database.password, database.host, database.port, database.database])
  .apply(
    ([user, secret, host, port, db]) =>
      `postgres://${user}:${encodeURIComponent(secret)}@${host}:${port}/${db}?sslmode=require`,
  );
