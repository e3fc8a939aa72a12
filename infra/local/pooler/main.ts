import { mkdirSync, realpathSync } from 'node:fs';
import { givenVariables, readEnv } from '@warmwind/shared/runtime/env';
import { createLog } from '@warmwind/shared/runtime/node/log';
import { findTool } from '../stack/tools.ts';
import { preparePooler } from './command.ts';
import { Config } from './settings.ts';
import { poolerUpstreams } from './urls.ts';

/**
 * The pooler in front of the ledger as a process. It writes PgBouncer's files and then becomes PgBouncer, so that a
 * supervisor of this process supervises PgBouncer itself; the passwords are not in the environment from then on.
 */
const config = readEnv(Config, givenVariables(process.env));
const { BIND: bind, PORT: port, DATA_DIR, POOL_SIZE: poolSize, POOL_CLIENTS: maxClients } = config;
const upstreams = poolerUpstreams(config);
mkdirSync(DATA_DIR, { recursive: true, mode: 0o700 });
const dir = realpathSync(DATA_DIR);
const { file, args } = preparePooler(dir, { bind, port, upstreams, poolSize, maxClients });
process.chdir(dir);
createLog('pooler').info({ bind, port, poolSize, maxClients }, 'starting the pooler');
process.execve?.(findTool(file) ?? file, [file, ...args], {});
