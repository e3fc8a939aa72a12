import { existsSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { withLock } from '../../local/engine/lock.ts';
import { runSst } from './cli.ts';

export const ROOT = resolve(import.meta.dirname, '../../..');
const LOCK = join(ROOT, '.sst/provider-lock.json');
const INSTALL_WITHIN_MS = 300_000;

/**
 * Puts SST's components and the pinned providers into `.sst/platform`, as `sst install` does: from npm alone,
 * once a checkout (half a minute) and again when a pin changes.
 */
export async function ensurePlatform(): Promise<void> {
  await withLock('sst-install', INSTALL_WITHIN_MS, async () => {
    if (await isCurrent()) return;
    await mkdir(join(ROOT, '.sst'), { recursive: true });
    const { code, output } = await runSst(['install'], { root: ROOT, config: join(ROOT, '.sst/cli') });
    if (code !== 0) throw new Error(`sst install failed with ${code}:\n${output}`);
  });
}

/** Are the installed providers those that sst.config.ts pins? */
async function isCurrent(): Promise<boolean> {
  if (!existsSync(join(ROOT, '.sst/platform/node_modules'))) return false;
  const config = await readFile(join(ROOT, 'sst.config.ts'), 'utf8');
  const installed = JSON.parse(await readFile(LOCK, 'utf8').catch(() => '[]')) as { version: string }[];
  return installed.length > 0 && installed.every(({ version }) => config.includes(`'${version}'`));
}
