import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { startPostgres } from '../../quality/testing/postgres.ts';
import { hyperdriveUrls, parseHyperdrive } from './hyperdrive.ts';
import { startEdge } from './serve.ts';

/** A Worker that returns its database binding, and the server's answer to a request for TLS. */
const WORKER = `export default {
  async fetch(request, { LEDGER_DB: { user, password, database, connectionString }, LEDGER_DB }) {
    const socket = LEDGER_DB.connect();
    const writer = socket.writable.getWriter();
    await writer.write(new Uint8Array([0, 0, 0, 8, 4, 210, 22, 47]));
    const { value } = await socket.readable.getReader().read();
    return Response.json({ user, password, database, connectionString, answer: String.fromCharCode(value[0]) });
  },
};`;

it('a Worker reaches PostgreSQL through its Hyperdrive binding, and no file keeps the password', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'warmwind-hyperdrive-'));
  await writeFile(join(dir, 'main.js'), WORKER);
  const bundle = { dir, main: 'main.js', texts: [], compatibilityDate: '2026-07-01', compatibilityFlags: [] };
  const postgres = await startPostgres();
  const hyperdrives = { LEDGER_DB: postgres.url.replace('for-tests-only', 'p%40%22ss') };
  const edge = await startEdge({ bundle, bindings: {}, hyperdrives });
  try {
    const { connectionString, ...seen } = (await (await fetch(edge.url)).json()) as Record<string, string>;
    expect(seen).toEqual({ user: 'warmwind', password: 'p@"ss', database: 'warmwind', answer: 'N' });
    expect(connectionString).toMatch(/^postgres:\/\//);
    expect(await readdir(dir)).toEqual(['main.js']);
  } finally {
    await edge.stop();
    await postgres.stop();
    await rm(dir, { recursive: true });
  }
});

it('a database that workerd can not reach is refused with the reason, never with its password', () => {
  const refusal = (url: string) => {
    try {
      return parseHyperdrive('LEDGER_DB', url);
    } catch (error) {
      return String(error);
    }
  };
  expect(refusal('redis://u:hidden@h/d')).toContain('LEDGER_DB: use postgres://');
  expect(refusal('postgres://u:hidden@h')).toContain('a database');
  expect(refusal('postgres://u:hidden@h/d?sslmode=require')).toContain('without TLS');
  for (const url of ['redis://u:hidden@h/d', 'postgres://u:hidden@h/d?sslmode=require']) {
    expect(refusal(url)).not.toContain('hidden');
  }
  expect(refusal('postgres://u:hidden@h/d')).toMatchObject({ address: 'h:5432' });
});

it('the databases are those of the environment; none needs LEDGER=off', () => {
  const LEDGER_URL = 'postgres://a';
  expect(hyperdriveUrls({ LEDGER_URL })).toEqual({ LEDGER_DB: LEDGER_URL });
  expect(hyperdriveUrls({ LEDGER_URL, LEDGER_READ_URL: 'postgres://b' })).toEqual({
    LEDGER_DB: LEDGER_URL,
    LEDGER_READ_DB: 'postgres://b',
  });
  const pooled = {
    LEDGER_URL: 'postgres://u:p%40@h/d?sslmode=require',
    LEDGER_READ_URL: 'postgres://v:q@i/e',
  };
  expect(hyperdriveUrls({ ...pooled, LEDGER_POOLER: 'pooler:6432' })).toEqual({
    LEDGER_DB: 'postgres://ledger_pool:p%40@pooler:6432/ledger_pool',
    LEDGER_READ_DB: 'postgres://replica_pool:q@pooler:6432/replica_pool',
  });
  expect(() => hyperdriveUrls({ ...pooled, LEDGER_POOLER: 'http://pooler' })).toThrow(
    'LEDGER_POOLER: use host:port',
  );
  expect(hyperdriveUrls({ LEDGER_URL, LEDGER: 'off' })).toEqual({});
  expect(() => hyperdriveUrls({})).toThrow('LEDGER_URL');
});
