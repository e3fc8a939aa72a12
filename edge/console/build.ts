import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { build, type InlineConfig, type Rolldown } from 'vite';

const DIST = join(import.meta.dirname, 'dist');
const NAMES: Record<string, string> = {
  'index.html': 'page.text',
  'console.js': 'script.text',
  'terminal-view.js': 'terminal.text',
  'console.css': 'style.text',
};

/** Vite's settings: one page, its script, that of its terminal and one style sheet, under fixed names. */
const CONFIG: InlineConfig = {
  root: import.meta.dirname,
  configFile: false,
  logLevel: 'error',
  publicDir: false,
  build: {
    write: false,
    target: 'es2023',
    assetsInlineLimit: 100_000,
    cssCodeSplit: false,
    modulePreload: false,
    rollupOptions: {
      output: {
        entryFileNames: 'console.js',
        // Loaded when a terminal is opened.
        chunkFileNames: '[name].js',
        assetFileNames: 'console.[ext]',
      },
    },
  },
};

/**
 * Builds the console into `dist`, offline. An unchanged file is left alone; others are replaced atomically.
 */
export async function buildConsole(): Promise<void> {
  const built = (await build(CONFIG)) as Rolldown.RolldownOutput;
  await mkdir(DIST, { recursive: true });
  for (const file of built.output) {
    const name = NAMES[file.fileName];
    if (!name) throw new Error(`the console's build made an unexpected file: ${file.fileName}`);
    await put(join(DIST, name), file.type === 'chunk' ? file.code : String(file.source));
  }
}

async function put(path: string, text: string): Promise<void> {
  const known = await readFile(path, 'utf8').catch(() => undefined);
  if (known === text) return;
  const aside = `${path}.${process.pid}`;
  await writeFile(aside, text);
  await rename(aside, path);
}
