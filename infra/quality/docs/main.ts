import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { referencePages, referencePath } from './reference.ts';

/* `npm run docs:reference`: writes the pages of docs/reference. */
for (const [name, content] of Object.entries(referencePages())) {
  mkdirSync(dirname(referencePath(name)), { recursive: true });
  writeFileSync(referencePath(name), content);
  process.stdout.write(`docs/reference/${name}\n`);
}
