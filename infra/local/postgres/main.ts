import { mkdirSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { readEnv } from '@warmwind/shared/runtime/env';
import { createLog } from '@warmwind/shared/runtime/node/log';
import { secretText } from '@warmwind/shared/runtime/secrets';
import { z } from 'zod';
import { findTool } from '../stack/tools.ts';
import { ensureCluster, serverCommand } from './cluster.ts';
import { endOrphans } from './orphans.ts';

/**
 * The ledger's PostgreSQL as a process. It creates missing data and then becomes the server, so that a
 * supervisor of this process supervises the server itself. SIGINT ends it: sessions are ended, all data is
 * written.
 */
const Config = z.object({
  PORT: z.coerce.number().int().min(1).max(65_535),
  DATA_DIR: z.string().startsWith('/', 'use an absolute path'),
  LEDGER_PASSWORD: secretText(1),
});
const { PORT: port, DATA_DIR, LEDGER_PASSWORD: password } = readEnv(Config, process.env);
mkdirSync(DATA_DIR, { recursive: true, mode: 0o700 });
const dir = join(realpathSync(DATA_DIR), 'data');

await endOrphans(dir);
await ensureCluster(dir, { password });
process.chdir(dir);
const { file, args } = serverCommand(port);
createLog('postgres').info({ port }, 'starting the server');
process.execve?.(findTool(file) ?? file, [file, ...args], {});
