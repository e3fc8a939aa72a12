import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chown, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import postgres from 'postgres';
import { ensureAccount } from '../../local/postgres/account.ts';
import { freePort } from './port.ts';
import { makeDir, PASSWORD } from './postgres.ts';
import { waitFor } from './wait.ts';

/** A server of a PostgreSQL version that the system has installed. */
export type SystemPostgres = {
  /** Creates an empty database. @returns its URL */
  database: (name: string) => Promise<string>;
  stop: () => Promise<void>;
};

/** The folder of a version's programs on Debian. */
const binOf = (major: number): string => `/usr/lib/postgresql/${major}/bin`;

export const hasSystemPostgres = (major: number): boolean => existsSync(join(binOf(major), 'postgres'));

export async function startSystemPostgres(major: number): Promise<SystemPostgres> {
  const [dir, port, account] = [await makeDir(), await freePort(), ensureAccount()];
  const data = join(dir, 'data');
  const secret = join(dir, 'password');
  await mkdir(data, { mode: 0o700 });
  await writeFile(secret, PASSWORD);
  for (const path of account ? [dir, data, secret] : [])
    await chown(path, account?.uid ?? 0, account?.gid ?? 0);
  const become = account ? [`--reuid=${account.uid}`, `--regid=${account.gid}`, '--clear-groups'] : [];
  const as = (...args: string[]): [string, string[]] => [
    'setpriv',
    [...become, '--pdeathsig', 'KILL', '--', ...args],
  ];
  const bin = (name: string) => join(binOf(major), name);

  const init = ['-D', data, '-U', 'postgres', '--pwfile', secret, '-A', 'scram-sha-256', '-E', 'UTF8', '-N'];
  await promisify(execFile)(...as(bin('initdb'), ...init, '--locale', 'C'), { cwd: dir, timeout: 60_000 });
  const options = ['-c', 'listen_addresses=127.0.0.1', '-c', 'unix_socket_directories=', '-c', 'fsync=off'];
  const server = spawn(...as(bin('postgres'), '-D', data, '-p', `${port}`, ...options), {
    cwd: data,
    stdio: 'ignore',
  });
  const url = (name: string) => `postgres://postgres:${PASSWORD}@127.0.0.1:${port}/${name}`;
  const admin = postgres(url('postgres'), {
    max: 1,
    connect_timeout: 3,
    backoff: false,
    onnotice: () => undefined,
  });
  await waitFor('PostgreSQL to answer', () =>
    admin`select 1`.then(
      () => true,
      () => false,
    ),
  );
  return {
    database: async (name) => {
      await admin`create database ${admin(name)} template template0`;
      return url(name);
    },
    stop: async () => {
      await admin.end({ timeout: 0 });
      const gone = once(server, 'exit');
      server.kill('SIGINT');
      await gone;
      await rm(dir, { recursive: true, force: true });
    },
  };
}
