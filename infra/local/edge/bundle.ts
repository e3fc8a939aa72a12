import { cp, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildEdge } from '../../../edge/build.ts';

/** The upload of `sst deploy`: the Worker, and static files, which Cloudflare serves without the Worker. */
const DIST = process.argv[2] ?? join(import.meta.dirname, '../../../edge/dist');
const WORKER = join(DIST, 'deployed');
const DOCS = join(DIST, 'assets/docs');
/** Files that the console's page loads, by their names in its build. */
const CONSOLE = {
  'console.js': 'script.text',
  'terminal-view.js': 'terminal.text',
  'console.css': 'style.text',
};
const CONSOLE_DIST = join(import.meta.dirname, '../../../edge/console/dist');
const HEADERS = ['Cache-Control: public, max-age=3600', 'X-Content-Type-Options: nosniff'];

for (const folder of [WORKER, DOCS]) await rm(folder, { recursive: true, force: true });

// SST bundles once more, into one file, and includes files of this name as text.
const { main, texts } = await buildEdge(WORKER, join(import.meta.dirname, 'deployed.ts'));
const entry = join(WORKER, main);
let code = await readFile(join(WORKER, 'deployed.js'), 'utf8');
for (const text of texts) {
  await rename(join(WORKER, text), join(WORKER, `${text}.txt`));
  code = code.replaceAll(`./${text}"`, `./${text}.txt"`);
}
await writeFile(entry, code);

await mkdir(DOCS, { recursive: true });
for (const [name, built] of Object.entries(CONSOLE))
  await cp(join(CONSOLE_DIST, built), join(DIST, 'assets', name));
for (const name of ['swagger-ui.css', 'swagger-ui-bundle.js']) {
  await cp(fileURLToPath(import.meta.resolve(`swagger-ui-dist/${name}`)), join(DOCS, name));
}
await writeFile(join(DIST, 'assets/_headers'), `/docs/*\n${HEADERS.map((line) => `  ${line}\n`).join('')}`);
