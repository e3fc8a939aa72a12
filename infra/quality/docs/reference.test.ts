import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { Variables as Edge } from '../../../edge/config.ts';
import { Config as Relay } from '../../../relay/config.ts';
import { Config as Worker } from '../../../workers/config.ts';
import { Config as Gateway } from '../../local/gateway/config.ts';
import { Environment as ModelServer } from '../../local/model-server/config.ts';
import { Config as Pooler } from '../../local/pooler/settings.ts';
import { Environment as Stack } from '../../local/stack/settings.ts';
import { ROOT, referencePages, referencePath } from './reference.ts';
import { metadata } from './schema.ts';

it('every page of the reference equals the generated one: npm run docs:reference', () => {
  const pages = referencePages();
  expect(readdirSync(join(ROOT, 'docs/reference')).sort()).toEqual(Object.keys(pages).sort());
  for (const [name, content] of Object.entries(pages)) {
    expect(readFileSync(referencePath(name), 'utf8'), `docs/reference/${name}`).toBe(content);
  }
});

it('every setting of every service has a description', () => {
  const shapes = { Edge, Relay, Worker, Gateway, Pooler, ModelServer, Stack };
  const without = Object.entries(shapes).flatMap(([service, { shape }]) =>
    Object.entries(shape)
      .filter(([, schema]) => !metadata(schema, 'description'))
      .map(([name]) => `${service}.${name}`),
  );
  expect(without).toEqual([]);
});

it('every secret variable is marked as one, and shows no default', () => {
  const { 'configuration.md': page = '' } = referencePages();
  const [services = ''] = page.split('## Compose');
  const rows = services
    .split('\n')
    .filter((line) => /^\| `[A-Z_]*(SECRET|TOKEN|PASSWORD|_KEY)[A-Z_]*`/.test(line));
  expect(rows.length).toBeGreaterThan(10);
  for (const row of rows) {
    const [, , usual = '', values] = row.split('|');
    expect([row, values]).toEqual([row, expect.stringContaining('secret')]);
    expect(usual.trim()).toMatch(/^(required|made at the first start.*)?$/);
  }
});
