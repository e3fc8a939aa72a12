import { chownSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { asAccount, type Command, ensureAccount } from '../postgres/account.ts';
import { findTool, installCommand } from '../stack/tools.ts';
import { type PoolerOptions, poolerConfig, poolerUsers, USERS_FILE } from './config.ts';

const CONFIG_FILE = 'pgbouncer.ini';

/**
 * Writes the pooler's files into a folder that only its user may enter: they hold the passwords of the databases.
 * @returns the command that runs it; its working folder has to be `dir`
 * @throws Error when PgBouncer is not installed
 */
export function preparePooler(dir: string, options: PoolerOptions, extra: string[] = []): Command {
  const program = findTool('pgbouncer');
  if (!program) throw new Error(`pgbouncer is missing. Remedy: ${installCommand('pgbouncer')}`);
  const account = ensureAccount();
  const own = (path: string) => account && chownSync(path, account.uid, account.gid);
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  own(dir);
  const files = { [CONFIG_FILE]: poolerConfig(options), [USERS_FILE]: poolerUsers(options.upstreams) };
  for (const [name, text] of Object.entries(files)) {
    // An existing file would keep its mode: a new one replaces it.
    const aside = join(dir, `${name}.new`);
    writeFileSync(aside, text, { mode: 0o600 });
    own(aside);
    renameSync(aside, join(dir, name));
  }
  // A relative path: its user may not enter the folders above.
  return asAccount(program, [CONFIG_FILE], account, extra);
}
