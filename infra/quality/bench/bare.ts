import { execFile } from 'node:child_process';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { EdgeBundle } from '../../../edge/build.ts';
import { type RunningEdge, startEdge } from '../../local/edge/serve.ts';
import type { Trip } from './recorder.ts';
import type { Statement } from './wire.ts';

const WRANGLER = join(fileURLToPath(import.meta.resolve('wrangler/package.json')), '../bin/wrangler.js');
const FLOOR = import.meta.resolve('./floor.ts');
const EDGE = fileURLToPath(import.meta.resolve('../../../edge'));
const OFFLINE = { CLOUDFLARE_CF_FETCH_ENABLED: 'false', WRANGLER_SEND_METRICS: 'false', CI: '1' };
export const UUID = /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g;

/**
 * Bundles a bare Worker like the edge, with the same compatibility settings.
 * @param source URL of its file
 */
export async function buildBare(like: EdgeBundle, source = FLOOR): Promise<EdgeBundle> {
  const file = fileURLToPath(source);
  const dir = await mkdtemp(join(tmpdir(), 'warmwind-bench-'));
  await promisify(execFile)(
    process.execPath,
    [WRANGLER, 'deploy', file, '--config', 'wrangler.jsonc', '--dry-run', '--outdir', dir],
    {
      cwd: EDGE,
      env: { ...process.env, ...OFFLINE },
    },
  );
  return { ...like, dir, main: basename(file).replace(/\.ts$/, '.js'), texts: [] };
}

export type BareOptions = {
  bundle: EdgeBundle;
  trips: Trip[];
  rest: { url: string; token: string };
  ledger?: { url: string; statements: Statement[] };
};

/** Starts the bare Worker in the edge's runtime; it repeats one recorded submission. */
export async function startBare({ bundle, trips, rest, ledger }: BareOptions): Promise<RunningEdge> {
  const statements = ledger?.statements ?? [];
  const texts = [...trips.map(({ body }) => body), JSON.stringify(statements)];
  const ids = [...new Set(texts.flatMap((text) => text.match(UUID) ?? []))];
  return startEdge({
    bundle,
    bindings: {
      TRIPS: JSON.stringify(trips),
      STATEMENTS: JSON.stringify(statements),
      IDS: JSON.stringify(ids),
      REST_URL: rest.url,
      REST_TOKEN: rest.token,
    },
    ...(ledger ? { hyperdrives: { LEDGER_DB: ledger.url } } : {}),
  });
}
