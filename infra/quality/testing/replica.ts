import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DATABASE, single } from '../../local/postgres/cluster.ts';
import { copyCluster, copyData, makeDir, PASSWORD, runPostgres, type TestPostgres } from './postgres.ts';
import { waitFor } from './wait.ts';

/** A PostgreSQL and its replica by asynchronous streaming replication, which is readable. */
export type TestReplicated = {
  primary: TestPostgres;
  replica: TestPostgres;
  /** From now on the replica shows a commit only after `ms`; 0: as soon as it can. */
  lag: (ms: number) => Promise<void>;
  /** The replica shows nothing new until it is resumed. */
  pause: () => Promise<void>;
  resume: () => Promise<void>;
  /** Resolves when the replica shows all that the primary has. */
  synced: () => Promise<void>;
  /** Makes the replica a primary; the old primary keeps running on its own. */
  promote: () => Promise<void>;
  stop: () => Promise<void>;
};

export async function startReplicated(options: { migrated?: boolean } = {}): Promise<TestReplicated> {
  const [first, second] = await Promise.all([makeDir(), makeDir()]);
  const [data, copy] = [join(first, 'data'), join(second, 'data')];
  await copyCluster(data);
  await single(data, [`alter role ${DATABASE} superuser replication`]);
  // The data of a stopped cluster is a base backup.
  await copyData(data, copy);
  await writeFile(join(copy, 'standby.signal'), '');
  // Keep the WAL that a stopped replica misses.
  const primary = await runPostgres(first, { ...options, args: ['-c', 'wal_keep_size=512MB'] });
  const source = `host=127.0.0.1 port=${primary.port} user=${DATABASE} password=${PASSWORD}`;
  const args = ['-c', `primary_conninfo=${source}`, '-c', 'wal_retrieve_retry_interval=100ms'];
  const replica = await runPostgres(second, { args });

  const synced = async () => {
    const [at] = await primary.sql<{ lsn: string }[]>`select pg_current_wal_lsn()::text as lsn`;
    await waitFor('the replica to catch up', async () => {
      const [row] = await replica.sql<{ has: boolean }[]>`
        select pg_last_wal_replay_lsn() >= ${at?.lsn ?? ''}::pg_lsn as has`;
      return row?.has;
    });
  };
  await synced();
  const servers: TestReplicated = {
    primary,
    replica,
    lag: async (ms) => {
      await replica.sql.unsafe(`alter system set recovery_min_apply_delay = '${Math.round(ms)}ms'`);
      await replica.sql`select pg_reload_conf()`;
      // The replay process reads the setting later: wait until it delays a transaction.
      if (ms > 0) await waitFor('the replica to lag', () => delaysReplay(servers));
    },
    pause: async () => {
      await replica.sql`select pg_wal_replay_pause()`;
      await waitFor('the replica to pause', async () => {
        const [row] = await replica.sql<{ state: string }[]>`select pg_get_wal_replay_pause_state() as state`;
        return row?.state === 'paused';
      });
    },
    resume: async () => {
      await replica.sql`select pg_wal_replay_resume()`;
    },
    synced,
    promote: async () => {
      await replica.sql`select pg_promote()`;
    },
    stop: async () => {
      await replica.stop();
      await primary.stop();
    },
  };
  return servers;
}

/**
 * Commits a transaction.
 * @returns whether the replica delays it; `undefined` when it did not this time
 */
async function delaysReplay({ primary, replica }: TestReplicated): Promise<true | undefined> {
  await primary.sql`select pg_current_xact_id()`;
  const [at] = await primary.sql<{ lsn: string }[]>`select pg_current_wal_lsn()::text as lsn`;
  return waitFor('the replica to delay or show the commit', async () => {
    const [row] = await replica.sql<{ waits: boolean; shown: boolean }[]>`
      select exists (select from pg_stat_activity where wait_event = 'RecoveryApplyDelay') as waits,
        pg_last_wal_replay_lsn() >= ${at?.lsn ?? ''}::pg_lsn as shown`;
    if (row?.waits) return 'waits';
    return row?.shown ? 'shown' : undefined;
  }).then((end) => (end === 'waits' ? true : undefined));
}
