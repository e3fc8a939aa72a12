import { execFileSync } from 'node:child_process';

/** The user that PostgreSQL and its pooler run as, and that owns their files. */
export type Account = { uid: number; gid: number };

/** A program, as the user it has to run as. Its working folder has to be that of its files. */
export type Command = { file: string; args: string[] };

const NAME = 'warmwind';

/**
 * PostgreSQL and PgBouncer refuse to run as root: then they run as a system user of their own, which is created
 * when it is missing.
 * @param onMade receives the name of a created user
 * @returns `undefined` for every user but root, who runs it themselves
 */
export function ensureAccount(onMade: (name: string) => void = () => undefined): Account | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const known = look();
  if (known) return known;
  let reason = '';
  try {
    run('useradd', '--system', '--user-group', '--no-create-home', '--shell', '/usr/sbin/nologin', NAME);
    onMade(NAME);
  } catch (error) {
    // Another process may have been faster.
    reason = error instanceof Error ? error.message.trim() : '';
  }
  const made = look();
  if (!made) {
    throw new Error(
      `PostgreSQL does not run as root, and the user ${NAME} can't be made: ${reason}. ` +
        'Remedy: run as another user, or set LEDGER_URL to a PostgreSQL, or LEDGER=off',
    );
  }
  return made;
}

function look(): Account | undefined {
  try {
    return { uid: Number(run('id', '-u', NAME)), gid: Number(run('id', '-g', NAME)) };
  } catch {
    return undefined;
  }
}

/**
 * The command that runs a program as this user, or as the present one.
 * @param extra options of `setpriv`
 */
export function asAccount(
  file: string,
  args: string[],
  account: Account | undefined,
  extra: string[] = [],
): Command {
  const become = account ? [`--reuid=${account.uid}`, `--regid=${account.gid}`, '--clear-groups'] : [];
  const settings = [...become, ...extra];
  return settings.length === 0
    ? { file, args }
    : { file: 'setpriv', args: [...settings, '--', file, ...args] };
}

const run = (file: string, ...args: string[]) =>
  execFileSync(file, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
