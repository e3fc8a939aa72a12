import { spawn } from 'node:child_process';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The Worker as wrangler would deploy it: its entry module and its text modules. */
export type EdgeBundle = {
  dir: string;
  main: string;
  texts: string[];
  compatibilityDate: string;
  compatibilityFlags: string[];
};

/**
 * Bundles the edge into `outDir`, offline. Rejects with wrangler's output when the build fails.
 * @param entry another module that wraps the edge
 */
export async function buildEdge(outDir: string, entry?: string): Promise<EdgeBundle> {
  await mkdir(outDir, { recursive: true });
  // The console's bundler is installed only where bundles are built: an image has just the bundle.
  const { buildConsole } = await import('./console/build.ts');
  await buildConsole();
  await wrangler([
    'deploy',
    ...(entry ? [entry] : []),
    '--config',
    'wrangler.jsonc',
    '--dry-run',
    '--outdir',
    outDir,
  ]);
  return readBundle(outDir);
}

/** Reads the bundle that `buildEdge` wrote to `dir`. */
export async function readBundle(dir: string): Promise<EdgeBundle> {
  const files = await readdir(dir);
  const settings = await readSettings();
  return {
    dir,
    main: 'main.js',
    texts: files.filter((file) => /\.text$|-swagger-ui(-bundle)?\.(js|css)$/.test(file)),
    compatibilityDate: settings.compatibility_date,
    compatibilityFlags: settings.compatibility_flags,
  };
}

/** Reads wrangler.jsonc, whose comments are on lines of their own. */
async function readSettings(): Promise<{ compatibility_date: string; compatibility_flags: string[] }> {
  const text = await readFile(join(import.meta.dirname, 'wrangler.jsonc'), 'utf8');
  return JSON.parse(text.replaceAll(/^ *\/\/.*$/gm, ''));
}

const OFFLINE = {
  CLOUDFLARE_CF_FETCH_ENABLED: 'false',
  WRANGLER_SEND_METRICS: 'false',
  WRANGLER_HIDE_BANNER: 'true',
  CI: '1',
};

function wrangler(args: string[]): Promise<void> {
  const bin = join(fileURLToPath(import.meta.resolve('wrangler/package.json')), '../bin/wrangler.js');
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [bin, ...args], {
      cwd: import.meta.dirname,
      env: { ...process.env, ...OFFLINE },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    const keep = (chunk: Buffer) => {
      output = (output + chunk).slice(-4000);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve();
      else reject(new Error(`wrangler failed with ${code}:\n${output}`));
    });
  });
}
