import { execFileSync } from 'node:child_process';

/** The user that PostgreSQL runs as, and that owns its data. */
export type Account = { uid: number; gid: number };

const NAME = 'warmwind';

/**
 * PostgreSQL refuses to run as root: then it runs as a system user of its own, which is created when it is
 * missing.
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

const run = (file: string, ...args: string[]) =>
  execFileSync(file, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
