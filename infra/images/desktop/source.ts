import { createHash } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** The folder that is sent to the engine. */
export const FOLDER = import.meta.dirname;

const PLAIN = [
  ...['Dockerfile', 'packages.txt', 'install.sh', 'prune.sh', 'root'],
  ...['supervisor', 'supervisor-tools.sh'],
];
/** The files of it that each image contains. */
export const SOURCES = {
  desktop: PLAIN,
  'desktop-browser': [...PLAIN, 'packages-browser.txt', 'root-browser'],
};
export type Flavour = keyof typeof SOURCES;

/** A hash of everything the image is made of: names, contents and execute bits. */
export async function sourceHash(flavour: Flavour): Promise<string> {
  const hash = createHash('sha256');
  for (const path of await files(SOURCES[flavour])) {
    const full = join(FOLDER, path);
    const executable = ((await stat(full)).mode & 0o100) !== 0;
    const content = await readFile(full);
    hash.update(`${path}\0${executable}\0${content.length}\0`).update(content);
  }
  return hash.digest('hex').slice(0, 16);
}

async function files(sources: string[]): Promise<string[]> {
  const found: string[] = [];
  for (const name of sources) {
    if ((await stat(join(FOLDER, name))).isFile()) {
      found.push(name);
      continue;
    }
    const entries = await readdir(join(FOLDER, name), { recursive: true, withFileTypes: true });
    for (const entry of entries) {
      if (entry.isFile()) found.push(join(entry.parentPath, entry.name).slice(FOLDER.length + 1));
    }
  }
  return found.sort();
}

/** The Debian packages of the plain image, one a line in `packages.txt`. */
export async function packages(): Promise<string[]> {
  return (await readFile(join(FOLDER, 'packages.txt'), 'utf8')).split(/\s+/).filter(Boolean);
}
