import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Debian's folders of servers, which are not in an ordinary user's PATH. */
const SERVER_FOLDERS = ['/usr/local/sbin', '/usr/sbin', '/sbin'];

/** The path of an installed program, if it exists. */
export function findTool(name: string, path = process.env.PATH ?? ''): string | undefined {
  return [...path.split(delimiter), ...SERVER_FOLDERS]
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, name))
    .find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** The command that installs a Debian package, as this user has to type it. */
export const installCommand = (pkg: string): string =>
  `${process.getuid?.() === 0 ? '' : 'sudo '}apt-get install -y ${pkg}`;
