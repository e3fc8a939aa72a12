import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { tables } from './table.ts';
import { units } from './units.ts';

it('the capacity page shows the tables that the model prints', async () => {
  const page = await readFile(new URL('../../../docs/operations/capacity.md', import.meta.url), 'utf8');
  expect(page, 'npm run capacity -- --table').toContain(tables());
  expect(page, 'npm run capacity -- --table').toContain(units());
});
