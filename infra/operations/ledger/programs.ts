import { execFile, spawn } from 'node:child_process';
import { promisify } from 'node:util';
import { CommandRefusedError } from './command.ts';
import { withConnection } from './connection.ts';

/** Programs of PostgreSQL's client packages. */
export type ProgramName = 'pg_dump' | 'pg_restore';
/** An installed program. It works on servers of its version `major` and older. */
export type Program = { name: ProgramName; major: number };

/** How long a program may take to print its version, ms. */
const VERSION_WITHIN_MS = 10_000;
/** Bounds of a server that does not answer: seconds to connect, later ms without an acknowledgement. */
const BOUNDS = 'connect_timeout=10 keepalives_idle=30 tcp_user_timeout=120000';
/** The environment variables of libpq by parameter of a connection string's query. */
const PARAMETERS: Record<string, string> = { sslmode: 'PGSSLMODE', sslrootcert: 'PGSSLROOTCERT' };

/** The program of that name in `PATH`; `undefined` where none is installed. */
export async function findProgram(name: ProgramName): Promise<Program | undefined> {
  try {
    const { stdout } = await promisify(execFile)(name, ['--version'], { timeout: VERSION_WITHIN_MS });
    const major = Number(/\(PostgreSQL\) (\d+)/.exec(stdout)?.[1]);
    return major > 0 ? { name, major } : undefined;
  } catch {
    return undefined;
  }
}

/** The major version of the ledger's server. */
export const serverMajor = (url: string): Promise<number> =>
  withConnection(url, 'version', async (sql) => {
    const [found] = await sql`select current_setting('server_version_num')::int / 10000 as major`;
    return Number(found?.major);
  });

/** The command that installs programs of a new enough version. */
export const installRemedy = (major: number): string =>
  `Install PostgreSQL's client programs of version ${major} or later (Debian: postgresql-client-${major}).`;

/**
 * Runs a program against the ledger. The password goes by the environment: arguments are visible to
 * everybody.
 * @param onOutput receives the program's output, which is otherwise not read
 * @throws Error when the program fails, with the end of its error output
 */
export async function runProgram(
  { name }: Program,
  args: string[],
  { url, signal, onOutput }: { url?: string; signal?: AbortSignal; onOutput?: (text: string) => void },
): Promise<void> {
  const child = spawn(name, url ? [...args, '--dbname', BOUNDS, '--no-password'] : args, {
    env: { PATH: process.env.PATH, LC_ALL: 'C', ...(url ? libpqEnvironment(url) : {}) },
    stdio: ['ignore', onOutput ? 'pipe' : 'ignore', 'pipe'],
    signal,
  });
  let output = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    output = (output + text).slice(-4000);
  });
  if (onOutput) child.stdout?.setEncoding('utf8').on('data', onOutput);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (code !== 0) throw new Error(`${name} failed: ${output.trim() || `it ended with ${code}`}`);
}

/** A connection string as libpq's environment. */
function libpqEnvironment(url: string): Record<string, string> {
  const { hostname, port, username, password, pathname, searchParams } = new URL(url);
  const known = [...searchParams].flatMap(([key, value]) => {
    const name = PARAMETERS[key];
    if (!name)
      throw new CommandRefusedError(`PostgreSQL's programs do not know ${key} of LEDGER_URL: remove it.`);
    return [[name, value]];
  });
  return {
    PGHOST: hostname.replace(/^\[|\]$/g, ''),
    PGPORT: port || '5432',
    PGUSER: decodeURIComponent(username),
    PGPASSWORD: decodeURIComponent(password),
    PGDATABASE: decodeURIComponent(pathname.slice(1)),
    PGAPPNAME: 'warmwind-dump',
    ...Object.fromEntries(known),
  };
}
